"""Every reader of files that come from elsewhere: a good file of each kind, and what has to hold of what is read."""

import io
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from resdet.config import DetConfig, load_config
from resdet.data import pixel_mean
from resdet.data.formats import coco, folder, ilsvrc_det, ilsvrc_loc, tiny_imagenet, voc
from resdet.data.image import image_size, load_image
from resdet.data.records import Classes, Record, Records, pack
from resdet.data.stored_image import open_image
from resdet.engine import checkpoint
from resdet.eval.blacklist import blacklisted
from resdet.eval.det_blacklist import left_out
from resdet.predictions.det import DetPredictions
from resdet.predictions.loc import LocPredictions
from resdet.predictions.read import read_det, read_loc
from resdet.report.runs import read_history
from resdet.structures import View
from resdet.tensor_file import read_tensors

WNIDS = ("n01440764", "n01443537")


@dataclass(frozen=True)
class Reader:
    """One kind of file that is damaged, and how it is read."""

    path: str  # of the file, from a folder
    content: bytes
    read: Callable[[Path], object]  # given the folder; checks what it read
    others: dict[str, bytes] = field(default_factory=dict)  # files that lie around it


def check_records(records: Records) -> None:
    assert torch.isfinite(records.boxes).all()
    assert (records.boxes[:, 2:] >= records.boxes[:, :2]).all()
    assert ((records.boxes[:, 2:] > records.boxes[:, :2]).all(1) | records.box_ignored).all()
    assert ((records.box_labels >= 0) & (records.box_labels < len(records.classes))).all()
    assert ((records.labels >= -1) & (records.labels < len(records.classes))).all()
    assert len(records.box_labels) == records.box_counts().sum() == len(records.box_ignored)
    assert (records.sizes >= 0).all()
    for index in range(len(records)):
        file = records.file(index)
        assert records.root in file.parents
        assert ".." not in file.parts
        assert "\0" not in str(file)


def check_image(folder: Path, name: str) -> None:
    """Whole, by its header, and as training reads it; what can be decoded can be decoded by each."""
    pixels = load_image(folder / name)
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 3
    assert min(pixels.shape) > 0
    stored = open_image(folder / name)
    assert (stored.height, stored.width) == pixels.shape[:2]
    width, height = image_size(folder / name)
    assert min(width, height) > 0
    view = View((0, 0, stored.width, stored.height), 16, 16)
    assert stored.view(view, exact=False).shape == (16, 16, 3)


def check_loc(found: LocPredictions) -> None:
    assert np.isfinite(found.boxes).all()
    assert ((found.labels >= -1) & (found.labels < 2)).all()
    assert len(found) == 3


def check_det(found: DetPredictions) -> None:
    assert np.isfinite(found.boxes).all()
    assert np.isfinite(found.scores).all()
    assert ((found.labels >= 0) & (found.labels < 2)).all()
    assert ((found.images >= 0) & (found.images < 3)).all()


def check_tree(value: object, depth: int = 0) -> None:
    """Tensors and plain types."""
    assert isinstance(
        value,
        torch.Tensor
        | str
        | bytes
        | bool
        | int
        | float
        | complex
        | dict
        | list
        | tuple
        | set
        | None
        | torch.Size
        | torch.dtype,
    ), type(value)


def check_checkpoint(file: Path) -> None:
    saved = checkpoint.load(file)
    assert isinstance(saved.task, str)
    assert isinstance(saved.step, int)
    assert isinstance(saved.config, dict)
    assert all(isinstance(word, str) for word in (*saved.class_ids, *saved.class_names))
    assert len(saved.class_ids) == len(saved.class_names) == len(set(saved.class_ids))
    assert all(isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in saved.model.items())
    assert isinstance(saved.resume, dict)


def records() -> Records:
    classes = Classes(WNIDS, ("tench", "goldfish"), (3, 7))
    rows = [Record(f"x/{name}.jpg", i % 2, [(0, 0, 9, 9)], size=(64, 48), number=i + 5) for i, name in enumerate("bac")]
    return pack(Path("set"), classes, rows)


def xml(name: str) -> bytes:
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>"
    return (
        '<?xml version="1.0"?><annotation><filename>a.jpg</filename><size><width>500</width><height>375</height></size>'
        f"<object><name>{name}</name><difficult>1</difficult>{box}</object>\n<object><name>{name}</name>"
        "<bndbox><xmax>7</xmax><xmin>5</xmin><ymin>2</ymin><ymax>9.5</ymax></bndbox></object></annotation>"
    ).encode()


COCO = {
    "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
    "images": [{"id": 7, "file_name": "a.jpg", "width": 60, "height": 40}, {"id": 9, "file_name": "b.jpg"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 18, "bbox": [1, 2, 3.5, 4], "area": 7.2, "iscrowd": 0},
        {"id": 2, "image_id": 9, "category_id": 1, "bbox": [0, 0, 60, 40], "segmentation": [[1, 2, 3, 4]]},
    ],
}
JSONL = "".join(
    json.dumps(
        {"file": f"x/{name}.jpg", "width": 64, "height": 48, "error": None, "detections": [
            {"label": 1, "name": "goldfish", "score": 0.75, "box": [1.5, 2, 30, 40]}]}
    ) + "\n"
    for name in "bac"
)  # fmt: skip
RESULTS = json.dumps([{"image_id": 5, "category_id": 3, "bbox": [1, 2, 3.5, 4], "score": 0.25}] * 2)
YAML = b"""# a comment
data: {train: "voc:VOC:train", shorter: 300, mean: [1.0, 2, 3e0]}
model:
  anchor_sizes: [64, 128]
  backbone: &net
    depth: 18
train:
  lr: 1e-3
  epochs: 30
"""


def pictures() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    found = {}
    for name, form, options in (
        ("plain.jpg", "JPEG", {}),
        ("progressive.jpg", "JPEG", {"progressive": True}),
        ("turned.jpg", "JPEG", {"exif": exif}),
        ("a.png", "PNG", {"exif": exif}),
        ("a.gif", "GIF", {}),
        ("a.bmp", "BMP", {}),
        ("a.webp", "WEBP", {}),
        ("a.tiff", "TIFF", {"compression": "tiff_lzw"}),
        ("a.ppm", "PPM", {}),
    ):
        stream = io.BytesIO()
        image.save(stream, form, **options)
        found[name] = stream.getvalue()
    deep = Image.fromarray(rng.integers(0, 65536, (24, 32)).astype(np.uint16))
    for name, other in (("cmyk.jpg", image.convert("CMYK")), ("deep.png", deep), ("clear.png", image.convert("P"))):
        stream = io.BytesIO()
        other.save(
            stream, "JPEG" if name.endswith("jpg") else "PNG", **({"transparency": 3} if name == "clear.png" else {})
        )
        found[name] = stream.getvalue()
    return found


def torch_file(old: bool = False) -> bytes:
    stream = io.BytesIO()
    content = {
        **{
            "format": 1,
            "task": "cls",
            "config": {"model": {"backbone": {"depth": 18}}},
            "step": 3,
            "metrics": {"a": 1.5},
        },
        **{"class_ids": ("n1", "n2"), "class_names": ("a", "b"), "resume": {"optimizer": [torch.ones(2)]}},
        "model": {"w": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)},
    }
    torch.save(content, stream, _use_new_zipfile_serialization=not old)
    return stream.getvalue()


def safetensors_file(folder: Path) -> bytes:
    saved = checkpoint.Checkpoint("cls", {"model": {}}, ("n1", "n2"), ("a", "b"), 3, {"w": torch.arange(6.0)})
    checkpoint.save(folder / "made.safetensors", saved)
    return (folder / "made.safetensors").read_bytes()


def array_file() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.full((3, 4, 4), 100.0, np.float32))
    return stream.getvalue()


def all_readers(folder_for_making: Path) -> dict[str, Reader]:
    """By name."""
    det_list = b"a 1\nb -1\n\nILSVRC2013_train/n1/n1_7 0\n"
    voc_list = b"a 1\nb -1\n\na\n"
    det_lists = {f"ImageSets/DET/train_{number}.txt": b"" for number in range(1, 201) if number != 3}
    wnids, dog = WNIDS[0], xml("dog")
    loc_lists = {"ImageSets/CLS-LOC/val.txt": b"a 1\nb 2\n", "Data/CLS-LOC/.keep": b""}
    solution = f"ImageId,PredictionString\na,{wnids} 1 2 3 4 {wnids} 5 6 7 8\nb,{wnids} 0 0 9.5 9 \n".encode()
    tiny = {"wnids.txt": f"{WNIDS[0]}\n{WNIDS[1]}\n".encode(), "words.txt": f"{wnids}\ttench, fish\n".encode()}
    val_table = f"a.JPEG\t{wnids}\t0\t1\t20\t30\nb.JPEG {WNIDS[1]} 5 5 6 60\n".encode()
    train_table = f"{wnids}_0.JPEG\t0\t1\t20\t30\n{wnids}_1.JPEG 5 5 6 60\n".encode()
    there = {f"train/{wnids}/images/{wnids}_{i}.JPEG": b"" for i in range(2)}
    devkit = b"1 1 2 30 40 2 5 6 7 8\n0 0 0 0 0\n2 1.5 2 3 4\n"
    det_text = b"5 3 0.9 1 2 30 40\n6 7 0.5 0 0 9.5 9\n7 3 1e-3 1 1 1 1\n"
    voc_text = b"b 0.9 1 2 30 40\na 0.5 1 1 9.5 9\n"
    judged = records()
    readers = {
        "voc xml": Reader("Annotations/a.xml", dog, lambda f: check_records(voc.read(f, "all"))),
        "voc list": Reader(
            "ImageSets/Main/l.txt", voc_list, lambda f: check_records(voc.read(f, "l")), {"Annotations/a.xml": dog}
        ),
        "det xml": Reader(
            "Annotations/DET/val/a.xml", xml("n02672831"), lambda f: check_records(ilsvrc_det.read(f, "val")),
            {"ImageSets/DET/val.txt": b"a 1\n"},
        ),
        "det list": Reader(
            "ImageSets/DET/train_3.txt", det_list, lambda f: check_records(ilsvrc_det.read(f, "train_all")),
            {**det_lists, "Annotations/DET/train/a.xml": xml("n02672831")},
        ),
        "det val list": Reader(
            "ImageSets/DET/val.txt", b"a 1\nb 2\n", lambda f: check_records(ilsvrc_det.read(f, "val")),
            {"Annotations/DET/val/a.xml": xml("n02672831")},
        ),
        "loc xml": Reader(
            "Annotations/CLS-LOC/val/a.xml", xml(wnids), lambda f: check_records(ilsvrc_loc.read(f, "val")),
            {**loc_lists, "Annotations/CLS-LOC/val/b.xml": xml(wnids)},
        ),
        "loc list": Reader(
            "ImageSets/CLS-LOC/val.txt", b"a 1\nb 2\n", lambda f: check_records(ilsvrc_loc.read(f, "val")),
            {"Annotations/CLS-LOC/val/a.xml": xml(wnids), "Annotations/CLS-LOC/val/b.xml": xml(wnids)},
        ),
        "loc csv": Reader(
            "LOC_val_solution.csv", solution, lambda f: check_records(ilsvrc_loc.read(f, "val")), loc_lists
        ),
        "loc classes": Reader(
            "LOC_synset_mapping.txt", f"{wnids} tench, fish\n{WNIDS[1]} : goldfish\n".encode(),
            lambda f: check_records(ilsvrc_loc.read(f, "val")), {**loc_lists, "LOC_val_solution.csv": solution},
        ),
        "tiny train": Reader(
            f"train/{wnids}/{wnids}_boxes.txt", train_table, lambda f: check_records(tiny_imagenet.read(f, "train")),
            {**tiny, **there, f"train/{WNIDS[1]}/{WNIDS[1]}_boxes.txt": b""},
        ),
        "tiny val": Reader(
            "val/val_annotations.txt", val_table, lambda f: check_records(tiny_imagenet.read(f, "val")), tiny
        ),
        "tiny classes": Reader(
            "wnids.txt", tiny["wnids.txt"], lambda f: check_records(tiny_imagenet.read(f, "val")),
            {"words.txt": tiny["words.txt"], "val/val_annotations.txt": val_table},
        ),
        "tiny words": Reader(
            "words.txt", tiny["words.txt"], lambda f: check_records(tiny_imagenet.read(f, "val")),
            {"wnids.txt": tiny["wnids.txt"], "val/val_annotations.txt": val_table},
        ),
        "coco": Reader("a.json", json.dumps(COCO).encode(), lambda f: check_records(coco.read(f, "a.json"))),
        "loc devkit text": Reader("p.txt", devkit, lambda f: check_loc(read_loc(f / "p.txt", judged))),
        "loc kaggle": Reader(
            "p.csv", solution.replace(b"\na,", b"\nc,1 1 2 3 4\na,"), lambda f: check_loc(read_loc(f / "p.csv", judged))
        ),
        "loc jsonl": Reader("p.jsonl", JSONL.encode(), lambda f: check_loc(read_loc(f / "p.jsonl", judged))),
        "det devkit text": Reader("p.txt", det_text, lambda f: check_det(read_det(f / "p.txt", judged))),
        "det coco results": Reader("p.json", RESULTS.encode(), lambda f: check_det(read_det(f / "p.json", judged))),
        "det jsonl": Reader("p.jsonl", JSONL.encode(), lambda f: check_det(read_det(f / "p.jsonl", judged))),
        "det voc results": Reader(
            f"comp4_det_test_{wnids}.txt", voc_text, lambda f: check_det(read_det(f, judged))
        ),
        "loc blacklist": Reader("b.txt", b"1\n3\n", lambda f: blacklisted(judged, str(f / "b.txt"))),
        "det blacklist": Reader(
            "b.txt", f"5 {wnids}\n7 {WNIDS[1]}\n".encode(), lambda f: left_out(judged, str(f / "b.txt"))
        ),
        "yaml config": Reader("c.yaml", YAML, lambda f: load_config(DetConfig, f / "c.yaml")),
        "metrics": Reader(
            "metrics.jsonl", b'{"step": 1, "loss": 2.5}\n{"step": 2, "epoch": 1, "val/top1_error": 50.0}\n',
            lambda f: read_history(f, "top1_error"), {"config.yaml": b"model: {backbone: {shortcut: B}}\n"},
        ),
        "run's config": Reader(
            "config.yaml", b"model: {backbone: {shortcut: B}}\n", lambda f: read_history(f, "top1_error"),
            {"metrics.jsonl": b'{"step": 2, "epoch": 1, "val/top1_error": 50.0}\n'},
        ),
        "mean image": Reader("m.npy", array_file(), _mean),
        "checkpoint": Reader("w.pt", torch_file(), lambda f: check_checkpoint(f / "w.pt")),
        "old checkpoint": Reader("w.pth", torch_file(old=True), lambda f: check_tree(read_tensors(f / "w.pth"))),
        "safetensors": Reader(
            "w.safetensors", safetensors_file(folder_for_making), lambda f: check_checkpoint(f / "w.safetensors")
        ),
        "detectron2 pickle": Reader(
            "w.pkl", pickle.dumps({"model": {"w": np.ones((2, 3), np.float32)}, "__author__": "x"}, 2),
            lambda f: check_tree(read_tensors(f / "w.pkl")),
        ),
        "class folders": Reader("cat/a.jpg", b"x", lambda f: check_records(folder.read(f, ""))),
    }  # fmt: skip
    for name, content in pictures().items():
        readers[f"image {name}"] = Reader(name, content, lambda f, name=name: check_image(f, name))
    return readers


def _mean(folder: Path) -> None:
    mean = pixel_mean.read(folder / "m.npy", 4)
    assert mean.shape == (3, 4, 4)
    assert torch.isfinite(mean).all()
