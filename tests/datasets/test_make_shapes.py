"""The demo set: what is drawn is what is boxed, the same every time, and not to be solved by a box in the middle."""

import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[2] / "datasets"
sys.path.insert(0, str(SCRIPTS))  # the scripts find one another as they do when run

from make_shapes import write_set  # noqa: E402
from shapes_art import CLASSES, Picture, draw_picture  # noqa: E402

from resdet import cli  # noqa: E402
from resdet.data.formats import open_records  # noqa: E402
from resdet.data.image import image_size, load_image  # noqa: E402

SIZE, COUNTS = 64, {"train": 28, "val": 14}


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return [draw_picture(CLASSES[i % len(CLASSES)], SIZE, np.random.default_rng([7, i])) for i in range(420)]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("shapes")
    write_set(root, COUNTS, seed=3, size=SIZE)
    return root


def sides(pictures: list[Picture]) -> np.ndarray:
    boxes = np.array([box for p in pictures for box in p.boxes])
    return boxes[:, 2:] - boxes[:, :2] + 1


def contents(root: Path) -> dict[str, bytes]:
    return {str(f.relative_to(root)): f.read_bytes() for f in sorted(root.rglob("*")) if f.is_file()}


def test_there_are_at_least_twelve_classes():
    assert len(CLASSES) >= 12


def test_every_image_has_one_to_three_objects_and_all_counts_occur(pictures):
    assert {len(p.boxes) for p in pictures} == {1, 2, 3}


def test_boxes_are_tight_around_the_drawn_pixels(pictures):
    for picture in pictures:
        for mask, (x1, y1, x2, y2) in zip(picture.masks, picture.boxes, strict=True):
            assert mask[y1 : y2 + 1, x1 : x2 + 1].sum() == mask.sum()
            assert mask[y1].any() and mask[y2].any() and mask[:, x1].any() and mask[:, x2].any()


def test_masks_are_where_the_image_differs_from_its_ground(pictures):
    """The ground around an object is of other colours than the object: seen in the picture, not in the drawing code."""
    for number, picture in enumerate(pictures):
        lab = cv2.cvtColor(picture.image, cv2.COLOR_RGB2Lab).astype(float)
        anywhere = np.any(picture.masks, axis=0)
        for mask in picture.masks:
            around = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))).astype(bool) & ~anywhere
            inside = cv2.erode(mask.astype(np.uint8), np.ones((3, 3))).astype(bool)
            inside = inside if inside.any() else mask
            apart = np.linalg.norm(np.median(lab[inside], axis=0) - np.median(lab[around], axis=0))
            assert apart > 40, f"picture {number}: {apart:.0f}"


def test_objects_of_one_image_do_not_overlap(pictures):
    for picture in pictures:
        assert np.sum(picture.masks, axis=0).max() == 1
        for n, a in enumerate(picture.boxes):
            for b in picture.boxes[:n]:
                assert a[0] > b[2] or b[0] > a[2] or a[1] > b[3] or b[1] > a[3]


def test_sides_go_from_10_to_90_percent_of_the_image(pictures):
    shares = sides(pictures) / SIZE
    assert shares.min() >= 0.1
    assert shares.max() <= 0.9
    assert shares.min() < 0.15  # and the range is used
    assert shares.max() > 0.85


def test_ratios_go_from_1_to_3_to_3_to_1(pictures):
    width, height = sides(pictures).T
    assert (width / height).min() >= 1 / 3
    assert (width / height).max() <= 3
    assert (width / height).min() < 0.45
    assert (width / height).max() > 2.2


def test_the_best_centred_box_fails_on_more_than_half(pictures):
    """Any object of the image may be hit, at IoU 0.5 in inclusive pixels; every width and height is tried."""
    boxes = np.array([box for p in pictures for box in p.boxes], dtype=float)
    image = np.repeat(np.arange(len(pictures)), [len(p.boxes) for p in pictures])
    extent = boxes[:, 2:] - boxes[:, :2] + 1
    failed = []
    for width in range(4, SIZE + 1, 2):
        for height in range(4, SIZE + 1, 2):
            low = np.array([SIZE - width, SIZE - height]) / 2
            high = SIZE - low
            common = np.clip(np.minimum(boxes[:, 2:] + 1, high) - np.maximum(boxes[:, :2], low), 0, None).prod(1)
            hit = common / (extent.prod(1) + width * height - common) >= 0.5
            failed.append(1 - len(set(image[hit])) / len(pictures))
    assert 0.5 < min(failed) < 0.9  # a box in the middle does hit some: else the search is broken


def test_every_class_is_drawn_in_many_colours_and_sizes(pictures):
    for name in range(len(CLASSES)):
        own = pictures[name :: len(CLASSES)]
        colours = np.array([np.median(p.image[p.masks[0]], axis=0) for p in own])
        assert colours.std(0).min() > 25
        assert np.ptp(sides(own), axis=0).min() > 20


def test_forms_differ_by_their_masks_alone():
    """The mean mask of each class, scaled to one size, is nearest to a new drawing's for far more than chance."""

    def scaled(name: str, seed: int) -> np.ndarray:
        picture = draw_picture(name, 96, np.random.default_rng([11, seed]))
        mask, (x1, y1, x2, y2) = picture.masks[0], picture.boxes[0]
        return cv2.resize(mask[y1 : y2 + 1, x1 : x2 + 1].astype(np.float32), (16, 16), interpolation=cv2.INTER_AREA)

    known = np.stack([[scaled(name, seed) for seed in range(25)] for name in CLASSES])  # (K, 25, 16, 16)
    right = 0
    for label, name in enumerate(CLASSES):
        for seed in range(100, 105):
            distance = np.abs(known - scaled(name, seed)).mean((2, 3)).min(1)  # to the nearest of each class
            right += int(distance.argmin() == label)
    assert right / (5 * len(CLASSES)) > 0.7  # chance: 1 / 14


def test_same_seed_same_files_byte_for_byte(written, tmp_path):
    write_set(tmp_path, COUNTS, seed=3, size=SIZE)
    assert contents(tmp_path) == contents(written)
    write_set(tmp_path, COUNTS, seed=4, size=SIZE)
    names = [
        name for name, data in contents(tmp_path).items() if name.endswith("JPEG") and data == contents(written)[name]
    ]
    assert names == []


def test_fewer_images_are_the_first_of_more(written, tmp_path):
    write_set(tmp_path, {"train": 5, "val": 2}, seed=3, size=SIZE)
    more = contents(written)
    images = {name: data for name, data in contents(tmp_path).items() if name.startswith(("Data", "Annotations"))}
    assert len(images) == 2 * 7
    assert all(more[name] == data for name, data in images.items())


def test_the_reader_gives_back_what_was_drawn(written):
    for split, code in (("train", 0), ("val", 1)):
        records = open_records(f"shapes:{written}:{split}")
        assert len(records) == COUNTS[split]
        assert records.classes.ids == CLASSES
        for i in range(len(records)):
            shape = CLASSES[i % len(CLASSES)]
            drawn = draw_picture(shape, SIZE, np.random.default_rng([3, code, i + 1]))
            assert records.classes.ids[records[i].label] == shape
            assert records[i].boxes == [(x1, y1, x2 + 1, y2 + 1) for x1, y1, x2, y2 in drawn.boxes]
            assert image_size(records.file(i)) == (SIZE, SIZE)
            difference = np.abs(load_image(records.file(i)).astype(float) - drawn.image)
            assert difference.mean() < 8  # JPEG


def run(*words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPTS / "make_shapes.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_script_writes_a_set_of_another_size(tmp_path):
    done = run("--out", str(tmp_path / "set"), "--train", "2", "--val", "1", "--size", "96")
    assert (done.returncode, done.stderr) == (0, "")
    assert image_size(open_records(f"shapes:{tmp_path}/set:val").file(0)) == (96, 96)


def test_wrong_usage_exits_2_and_a_failure_1_with_one_line(tmp_path):
    assert run("--out", str(tmp_path), "--size", "8").returncode == 2
    (tmp_path / "file").write_text("")
    failed = run("--out", str(tmp_path / "file"), "--train", "1", "--val", "1")
    large = run("--out", str(tmp_path / "set"), "--size", "100000000")
    for ended in (failed, large):
        assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
        assert "Traceback" not in ended.stderr


def test_ctrl_c_ends_it_with_a_line(tmp_path):
    # a shell's background jobs, and all that they start, do not hear it unless told to
    heard = "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); sys.argv.pop(0); "
    heard += "sys.path.insert(0, sys.argv[0].rpartition('/')[0]); runpy.run_path(sys.argv[0], run_name='__main__')"
    script = str(SCRIPTS / "make_shapes.py")
    words = [sys.executable, "-c", heard, script, "--out", str(tmp_path / "set"), "--train", "100000"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as drawing:
        while not (tmp_path / "set/Annotations").exists():
            assert drawing.poll() is None
        drawing.send_signal(signal.SIGINT)
        assert drawing.communicate()[1] == "make_shapes.py: interrupted\n"
    assert drawing.returncode == cli.INTERRUPTED


def test_a_smaller_set_is_not_drawn_over_a_larger_one_nor_over_another(tmp_path):
    write_set(tmp_path, {"train": 4, "val": 3}, seed=3, size=32)
    before = contents(tmp_path)
    for train, val, file in ((3, 3, "train/crescent/crescent_4"), (4, 2, "val/shapes_val_00000003")):
        done = run("--out", str(tmp_path), "--train", str(train), "--val", str(val), "--size", "32")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert file in done.stderr
        assert contents(tmp_path) == before
    assert run("--out", str(tmp_path), "--train", "5", "--val", "3", "--size", "32").returncode == 0  # a larger one
    assert len(open_records(f"shapes:{tmp_path}:train")) == 5
    photograph = tmp_path / "Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG"
    photograph.write_bytes(b"mine")
    assert "ILSVRC2012_val_00000001" in run("--out", str(tmp_path), "--train", "5", "--val", "3").stderr
