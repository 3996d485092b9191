"""Good files, made here: what a reader takes as it is, and damaged has to refuse."""

import io
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from resdet.data.records import Classes, Record, Records, pack
from resdet.engine import checkpoint

WNIDS = ("n01440764", "n01443537")
SOLUTION = f"ImageId,PredictionString\na,{WNIDS[0]} 1 2 3 4 {WNIDS[0]} 5 6 7 8\nb,{WNIDS[0]} 0 0 9.5 9 \n".encode()


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
