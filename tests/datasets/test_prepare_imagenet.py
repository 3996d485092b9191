"""Miniature archives of ImageNet, unpacked, cut off and gone on with, and hostile ones, of which nothing comes out."""

import gzip
import io
import os
import sys
import tarfile
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

from resdet import cli
from resdet.data.formats import open_records
from resdet.data.lists import devkit_ids

sys.path.insert(0, str(Path(__file__).parents[2] / "datasets"))
main = import_module("prepare_imagenet").main
tree = import_module("imagenet_tree")

TENCH, SHARK = "n01440764", "n01484850"
TRAIN = {f"{TENCH}_{i}": b"tench %d" % i for i in (3, 10)} | {f"{SHARK}_7": b"shark"}
VAL = {f"ILSVRC2012_val_{i:08d}": b"val %d" % i for i in (1, 2, 3)}
VAL_CLASSES = dict(zip(VAL, (SHARK, TENCH, SHARK), strict=True))


def tarred(files: dict[str, bytes], mode: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def xml(wnid: str) -> bytes:
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"
    return f"<annotation><object><name>{wnid}</name>{box}</object></annotation>".encode()


def inner_tars() -> dict[str, bytes]:
    names = {wnid: {f"{n}.JPEG": data for n, data in TRAIN.items() if n.startswith(wnid)} for wnid in (TENCH, SHARK)}
    return {f"{wnid}.tar": tarred(files) for wnid, files in names.items()}


@pytest.fixture
def plain(tmp_path) -> Path:
    """The archives of ILSVRC2012; of the training images, one has a box."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / "ILSVRC2012_img_train.tar").write_bytes(tarred(inner_tars()))
    (folder / "ILSVRC2012_img_val.tar").write_bytes(tarred({f"{n}.JPEG": d for n, d in VAL.items()}))
    test = {"test/ILSVRC2012_test_00000001.JPEG": b"test"}
    (folder / "ILSVRC2012_img_test_v10102019.tar").write_bytes(tarred(test))
    boxes = {f"{TENCH}/{TENCH}_10.xml": xml(TENCH)}
    (folder / "ILSVRC2012_bbox_train_v2.tar.gz").write_bytes(tarred(boxes, "w:gz"))
    val_boxes = {f"val/{name}.xml": xml(wnid) for name, wnid in VAL_CLASSES.items()}
    (folder / "ILSVRC2012_bbox_val_v3.tgz").write_bytes(tarred(val_boxes, "w:gz"))
    (folder / "notes.txt").write_text("none of it")
    return folder


def run(*words) -> int:
    return cli.run(main, [str(word) for word in words])


def contents(root: Path) -> dict[str, bytes]:
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in root.rglob("*") if file.is_file()}


def test_the_plain_archives_become_the_tree_that_ilsvrc_loc_reads(plain, tmp_path):
    out = tmp_path / "out"
    assert run(plain, "--out", out, "--allow-incomplete") == 0
    files = contents(out / "ILSVRC")
    for name, data in TRAIN.items():
        assert files[f"Data/CLS-LOC/train/{name.split('_')[0]}/{name}.JPEG"] == data
    for name, data in VAL.items():
        assert files[f"Data/CLS-LOC/val/{name}.JPEG"] == data
    assert files["Data/CLS-LOC/test/ILSVRC2012_test_00000001.JPEG"] == b"test"
    assert files["ImageSets/CLS-LOC/train_cls.txt"].decode().split("\n") == [
        f"{TENCH}/{TENCH}_10 1",
        f"{TENCH}/{TENCH}_3 2",
        f"{SHARK}/{SHARK}_7 3",
        "",
    ]
    assert files["ImageSets/CLS-LOC/train_loc.txt"] == f"{TENCH}/{TENCH}_10 1\n".encode()
    assert not [name for name in files if name.endswith(".part")]
    records = open_records(f"ilsvrc-loc:{out}:val")
    assert [records.classes.ids[label] for label in records.labels] == list(VAL_CLASSES.values())
    assert [len(open_records(f"ilsvrc-loc:{out}:{split}")) for split in ("train", "train_cls", "test")] == [1, 3, 1]


def test_without_all_of_it_the_exit_is_1_and_says_what_is_missing(plain, tmp_path, capsys):
    assert run(plain, "--out", tmp_path / "out") == 1
    said = capsys.readouterr().err.splitlines()
    assert f"incomplete: train: wanted 732 to 1300 images of {TENCH}, there are 2" in said
    assert any("no images of 998 classes" in line for line in said)
    assert "incomplete: train: wanted 1281167 images, there are 3" in said
    assert said[-1].endswith("--allow-incomplete takes it as it is")
    assert len(said) == 6


def test_a_whole_set_is_ready(plain, tmp_path, monkeypatch, capsys):
    for name, value in {"TRAIN": 3, "VAL": 3, "TEST": 1, "TRAIN_EACH": (1, 2)}.items():
        monkeypatch.setattr(tree, name, value)
    monkeypatch.setattr(tree, "imagenet_wnids", lambda: (TENCH, SHARK))
    boxes = {f"{wnid}/{wnid}_{i}.xml": xml(wnid) for wnid, i in ((TENCH, 10), (SHARK, 7))}
    (plain / "ILSVRC2012_bbox_train_v2.tar.gz").write_bytes(tarred(boxes, "w:gz"))
    out = tmp_path / "out"
    assert run(plain, "--out", out) == 1
    assert "val: wanted 50 of n01440764, there are 1" in capsys.readouterr().err  # counted by the boxes' classes
    monkeypatch.setattr(tree, "VAL_EACH", 1)
    assert run(plain, "--out", out) == 1
    assert "incomplete: val: wanted 1 of n01484850, there are 2\n" in capsys.readouterr().err
    os.remove(out / "ILSVRC/Data/CLS-LOC/train" / TENCH / f"{TENCH}_3.JPEG")
    assert tree.faults(out / "ILSVRC", {}) == ["train: wanted 3 images, there are 2"]
    assert run(plain / "ILSVRC2012_img_train.tar", "--out", out) == 1
    assert tree.faults(out / "ILSVRC", {}) == []


def test_val_is_sorted_into_its_classes_and_stays_so(plain, tmp_path, capsys):
    out = tmp_path / "out"
    for moved in (3, 0):  # the second time nothing is unpacked anew
        assert run(plain, "--out", out, "--allow-incomplete", "--val-folders") == 0
        said = capsys.readouterr().out
        assert f"val: {moved} images moved" in said
        assert f"ILSVRC2012_img_val.tar: val: {moved} files written" in said
    for name, wnid in VAL_CLASSES.items():
        assert (out / "ILSVRC/Data/CLS-LOC/val" / wnid / f"{name}.JPEG").read_bytes() == VAL[name]
    records = open_records(f"ilsvrc-loc:{out}:val")
    assert [records.file(i).read_bytes() for i in range(3)] == list(VAL.values())


@pytest.mark.parametrize("packed", [True, False])
def test_classes_of_val_come_from_the_kits_list_in_the_kits_numbers(plain, tmp_path, monkeypatch, packed):
    monkeypatch.setattr(tree, "VAL", 3)
    numbers = "".join(f"{devkit_ids()[wnid]}\n" for wnid in VAL_CLASSES.values())
    assert devkit_ids()[TENCH] not in (1, 2)  # not the order of the WNIDs
    (plain / "ILSVRC2012_bbox_val_v3.tgz").unlink()
    words = []
    if packed:
        kit = {"ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": numbers.encode()}
        (plain / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(tarred(kit, "w:gz"))
    else:
        (tmp_path / "truth.txt").write_text(numbers)
        words = ["--val-truth", tmp_path / "truth.txt"]
    assert run(plain, "--out", tmp_path / "out", "--allow-incomplete", "--val-folders", *words) == 0
    for name, wnid in VAL_CLASSES.items():
        assert (tmp_path / "out/ILSVRC/Data/CLS-LOC/val" / wnid / f"{name}.JPEG").exists()


def test_val_without_known_classes_is_not_sorted(plain, tmp_path, capsys):
    (plain / "ILSVRC2012_bbox_val_v3.tgz").unlink()
    assert run(plain, "--out", tmp_path / "out", "--allow-incomplete", "--val-folders") == 1
    assert "ILSVRC2012_val_00000001.JPEG: its class is not known (so of 3)" in capsys.readouterr().err
    (tmp_path / "truth.txt").write_text("7\n")
    assert run(plain, "--out", tmp_path / "out", "--val-truth", tmp_path / "truth.txt") == 1
    assert "wanted 50000 lines, one for each image of val, got 1" in capsys.readouterr().err


def tree_files() -> dict[str, bytes]:
    files = {f"ILSVRC/Data/CLS-LOC/train/{n.split('_')[0]}/{n}.JPEG": data for n, data in TRAIN.items()}
    files |= {f"ILSVRC/Data/CLS-LOC/val/{name}.JPEG": data for name, data in VAL.items()}
    files |= {f"ILSVRC/Annotations/CLS-LOC/val/{name}.xml": xml(wnid) for name, wnid in VAL_CLASSES.items()}
    return {**files, "ILSVRC/ImageSets/CLS-LOC/val.txt": b"".join(b"%s 1\n" % n.encode() for n in VAL)}


@pytest.mark.parametrize("form", ["tar.gz in zip", "files in zip", "tar.gz and tables"])
def test_kaggles_archive_in_each_of_its_forms(tmp_path, capsys, form):
    packed, table = "imagenet_object_localization_patched2019.tar.gz", "LOC_synset_mapping.txt"
    files = {**tree_files(), "ILSVRC/readme.md": b"left out"}
    names = f"{TENCH} tench\n{SHARK} great white shark\n".encode()
    if form == "tar.gz and tables":
        (tmp_path / packed).write_bytes(tarred(files, "w:gz"))
        (tmp_path / table).write_bytes(names)
    else:
        with zipfile.ZipFile(tmp_path / "imagenet-object-localization-challenge.zip", "w") as zipped:
            for name, data in ({packed: tarred(files, "w:gz")} if form == "tar.gz in zip" else files).items():
                zipped.writestr(name, data)
            zipped.writestr(table, names)
    assert run(tmp_path, "--out", tmp_path / "out", "--allow-incomplete") == 0
    assert contents(tmp_path / "out") == {**tree_files(), table: names}
    splits = capsys.readouterr().out.splitlines()[-1].partition(f"ready: ilsvrc-loc:{tmp_path / 'out'}:")[2]
    for split in splits.split(", :"):
        assert len(open_records(f"ilsvrc-loc:{tmp_path}/out:{split}")), "what is ready can be opened"
    assert open_records(f"ilsvrc-loc:{tmp_path}/out:val").classes.names == ("tench", "great white shark")


def test_downloads_may_lie_in_the_folder_that_is_written_to(tmp_path):
    (tmp_path / "imagenet_object_localization_patched2019.tar.gz").write_bytes(tarred(tree_files(), "w:gz"))
    (tmp_path / "LOC_synset_mapping.txt").write_text(f"{TENCH} tench\n{SHARK} great white shark\n")
    for _ in range(2):
        assert run(tmp_path, "--out", tmp_path, "--allow-incomplete") == 0
        assert open_records(f"ilsvrc-loc:{tmp_path}:val").classes.names == ("tench", "great white shark")


def test_a_run_that_was_cut_off_goes_on(plain, tmp_path, capsys):
    out, train = tmp_path / "out", plain / "ILSVRC2012_img_train.tar"
    whole = train.read_bytes()
    train.write_bytes(whole[: whole.index(b"shark") + 2])
    assert run(train, "--out", out) == 1
    assert "ILSVRC2012_img_train.tar: " in capsys.readouterr().err
    assert {Path(name).stem for name in contents(out)} == {f"{TENCH}_3", f"{TENCH}_10"}
    place = out / "ILSVRC/Data/CLS-LOC/train" / TENCH
    (place / f"{TENCH}_3.JPEG").write_bytes(b"")  # as after a power cut
    kept = (place / f"{TENCH}_10.JPEG").stat().st_mtime_ns
    train.write_bytes(whole)
    assert run(train, "--out", out, "--allow-incomplete") == 0
    assert "train: 2 files written" in capsys.readouterr().out
    assert (place / f"{TENCH}_10.JPEG").stat().st_mtime_ns == kept
    assert (place / f"{TENCH}_3.JPEG").read_bytes() == TRAIN[f"{TENCH}_3"]


HOSTILE = {
    "up": "../ILSVRC2012_val_00000001.JPEG",
    "absolute": "/tmp/ILSVRC2012_val_00000001.JPEG",
    "up within": "val/../../ILSVRC2012_val_00000001.JPEG",
    "drive": "C:/ILSVRC2012_val_00000001.JPEG",
    "backslash": "..\\ILSVRC2012_val_00000001.JPEG",
    "other": "setup.py",
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_members_that_have_no_place_are_refused(tmp_path, capsys, name):
    archive = tmp_path / "in" / "ILSVRC2012_img_val.tar"
    archive.parent.mkdir()
    archive.write_bytes(tarred({name: b"x"}))
    assert run(archive, "--out", tmp_path / "in" / "out") == 1
    said = capsys.readouterr().err
    assert "refused" in said or "which val does not have" in said
    assert contents(tmp_path) == {"in/ILSVRC2012_img_val.tar": archive.read_bytes()}


def test_kaggles_archive_may_not_lead_out_either(tmp_path, capsys):
    archive = tmp_path / "imagenet_object_localization_patched2019.tar.gz"
    archive.write_bytes(tarred({"ILSVRC/Data/CLS-LOC/../../../../x.JPEG": b"x"}, "w:gz"))
    assert run(archive, "--out", tmp_path / "out") == 1
    assert "leads out of the folder: refused" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, capsys, kind):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        info = tarfile.TarInfo("ILSVRC2012_val_00000001.JPEG")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    (tmp_path / "ILSVRC2012_img_val.tar").write_bytes(stream.getvalue())
    assert run(tmp_path, "--out", tmp_path / "out") == 1
    assert "a link or a device: wanted files alone" in capsys.readouterr().err


def test_an_archive_in_an_archive_in_an_archive_is_a_file_of_a_wrong_name(tmp_path, capsys):
    deep = tarred({f"{TENCH}.tar": tarred({f"{TENCH}.tar": tarred({f"{TENCH}_1.JPEG": b"x"})})})
    (tmp_path / "ILSVRC2012_img_train.tar").write_bytes(deep)
    assert run(tmp_path, "--out", tmp_path / "out") == 1
    assert "n01440764.tar', which train does not have" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["w", "w:gz"])
def test_a_header_that_is_damaged_or_cut_off_is_not_the_end_of_the_archive(tmp_path, capsys, form):
    """Unless told, tarfile leaves out the rest of it without a word."""
    name = "ILSVRC2012_img_val.tar" if form == "w" else "ILSVRC2012_bbox_val_v3.tgz"
    files = {f"{image}.{'JPEG' if form == 'w' else 'xml'}": b"data" for image in VAL}
    data = tarred(files)  # of each file a header and a block, 512 bytes each
    hole = data[: 2 * 512] + bytes(512) + data[3 * 512 :]  # of a download: zeros are what the end looks like
    for damaged in (data[: 2 * 512 + 150] + b"\xff" + data[2 * 512 + 151 :], data[: 2 * 512 + 100], hole):
        (tmp_path / name).write_bytes(damaged if form == "w" else gzip.compress(damaged))
        assert run(tmp_path / name, "--out", tmp_path / "out", "--allow-incomplete") == 1
        assert f"{name}: damaged or cut off" in capsys.readouterr().err
    behind = data + b"?" * 700  # is no header, and nobody's file
    (tmp_path / name).write_bytes(behind if form == "w" else gzip.compress(behind))
    assert run(tmp_path / name, "--out", tmp_path / "out", "--allow-incomplete") == 0


def test_damaged_and_unknown_archives_are_named(plain, tmp_path, capsys):
    boxes = plain / "ILSVRC2012_bbox_val_v3.tgz"
    whole = boxes.read_bytes()
    for data in (b"no archive", gzip.compress(b"no tar"), whole[: len(whole) // 2], whole[:40] + b"\xff" + whole[41:]):
        boxes.write_bytes(data)
        assert run(boxes, "--out", tmp_path / "out") == 1
        said = capsys.readouterr().err
        assert "ILSVRC2012_bbox_val_v3.tgz: " in said
        assert "Traceback" not in said
    (tmp_path / "other.tar").write_bytes(b"")
    for source, message in (("other.tar", "by its usual name"), ("none", "no such file or folder")):
        assert run(tmp_path / source, "--out", tmp_path / "out") == 1
        assert message in capsys.readouterr().err


def test_a_list_of_vals_classes_that_is_none_is_told_before_anything_is_unpacked(plain, tmp_path, capsys):
    bytes_alone = tmp_path / "truth.txt"
    bytes_alone.write_bytes(b"\xff\xfe\n" * 50_000)
    for file, message in ((bytes_alone, "truth.txt:1: wanted a number"), (tmp_path / "none.txt", "none.txt: No such")):
        assert run(plain, "--out", tmp_path / "out", "--val-truth", file) == 1
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
