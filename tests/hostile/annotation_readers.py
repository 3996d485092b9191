"""Good files of annotations, of every format of data set, and how each is read."""

import json

from good_files import COCO, SOLUTION, WNIDS, xml
from readers import Reader, check_records

from resdet.data.formats import coco, folder, ilsvrc_det, ilsvrc_loc, tiny_imagenet, voc


def sets_of_objects() -> dict[str, Reader]:
    """VOC, ILSVRC DET, COCO and class folders."""
    det_list = b"a 1\nb -1\n\nILSVRC2013_train/n1/n1_7 0\n"
    voc_list = b"a 1\nb -1\n\na\n"
    det_lists = {f"ImageSets/DET/train_{number}.txt": b"" for number in range(1, 201) if number != 3}
    dog = xml("dog")
    return {
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
        "coco": Reader("a.json", json.dumps(COCO).encode(), lambda f: check_records(coco.read(f, "a.json"))),
        "class folders": Reader("cat/a.jpg", b"x", lambda f: check_records(folder.read(f, ""))),
    }  # fmt: skip


def ilsvrc_loc_files() -> dict[str, Reader]:
    """ILSVRC CLS-LOC's, as its tar and as Kaggle have them."""
    wnids = WNIDS[0]
    loc_lists = {"ImageSets/CLS-LOC/val.txt": b"a 1\nb 2\n", "Data/CLS-LOC/.keep": b""}
    return {
        "loc xml": Reader(
            "Annotations/CLS-LOC/val/a.xml", xml(wnids), lambda f: check_records(ilsvrc_loc.read(f, "val")),
            {**loc_lists, "Annotations/CLS-LOC/val/b.xml": xml(wnids)},
        ),
        "loc list": Reader(
            "ImageSets/CLS-LOC/val.txt", b"a 1\nb 2\n", lambda f: check_records(ilsvrc_loc.read(f, "val")),
            {"Annotations/CLS-LOC/val/a.xml": xml(wnids), "Annotations/CLS-LOC/val/b.xml": xml(wnids)},
        ),
        "loc csv": Reader(
            "LOC_val_solution.csv", SOLUTION, lambda f: check_records(ilsvrc_loc.read(f, "val")), loc_lists
        ),
        "loc classes": Reader(
            "LOC_synset_mapping.txt", f"{wnids} tench, fish\n{WNIDS[1]} : goldfish\n".encode(),
            lambda f: check_records(ilsvrc_loc.read(f, "val")), {**loc_lists, "LOC_val_solution.csv": SOLUTION},
        ),
    }  # fmt: skip


def tiny_imagenet_files() -> dict[str, Reader]:
    """Lists and tables."""
    wnids = WNIDS[0]
    tiny = {"wnids.txt": f"{WNIDS[0]}\n{WNIDS[1]}\n".encode(), "words.txt": f"{wnids}\ttench, fish\n".encode()}
    val_table = f"a.JPEG\t{wnids}\t0\t1\t20\t30\nb.JPEG {WNIDS[1]} 5 5 6 60\n".encode()
    train_table = f"{wnids}_0.JPEG\t0\t1\t20\t30\n{wnids}_1.JPEG 5 5 6 60\n".encode()
    there = {f"train/{wnids}/images/{wnids}_{i}.JPEG": b"" for i in range(2)}
    return {
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
    }  # fmt: skip
