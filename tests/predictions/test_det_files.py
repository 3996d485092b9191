"""Files of detections as text, the DET kit's and VOC's: read as others write them, refused by file and line."""

import re
import tracemalloc

import numpy as np
import pytest
import torch
from det_sets import PLAIN, WITHOUT_NUMBERS, as_rows, read, records_of

from resdet.data.records import Classes
from resdet.errors import InputError
from resdet.predictions import det_voc
from resdet.predictions.columns import read_table
from resdet.predictions.det import DetPredictions, collect, predictions
from resdet.predictions.det_devkit import COLUMNS
from resdet.predictions.read import read_det
from resdet.predictions.write import write_det
from resdet.structures import Detections


def found(*rows):
    """Detections of one image from ``(label, score, box)`` rows."""
    boxes = torch.tensor([box for _, _, box in rows], dtype=torch.float32).reshape(-1, 4)
    labels = torch.tensor([label for label, _, _ in rows], dtype=torch.int64)
    return Detections(boxes, torch.tensor([score for _, score, _ in rows]), labels)


def test_devkit_lines_name_images_and_classes_by_number_and_their_last_pixel_is_inside(tmp_path):
    text = "3 90 0.5 0 0 9 19\n20 7 -1.25 1.5 2 3 4\n\n3 13 1e-3 5 5 5 5\n"
    assert as_rows(read(tmp_path, text, records_of())) == [
        (1, 1, 0.5, 0, 0, 10, 20),
        (0, 0, -1.25, 1.5, 2, 4, 5),
        (1, 2, 0.001, 5, 5, 6, 6),
    ]


def test_devkit_numbers_are_places_from_1_where_a_set_has_none(tmp_path):
    found = read(tmp_path, "1 2 .5 0 0 1 1\n3 1 .5 0 0 1 1\n", records_of(PLAIN, numbers=WITHOUT_NUMBERS))
    assert found.images.tolist() == [1, 2]  # a, b, c: alphabetical
    assert found.labels.tolist() == [1, 0]
    twice = records_of(numbers=(5, 5, 6))
    assert read(tmp_path, "1 7 .5 0 0 1 1\n", twice).images.tolist() == [1]


def test_devkit_text_may_be_as_matlab_writes_it(tmp_path):
    found = read(tmp_path, "3,90,0.5,0,0,9,19\r\n2.000e+01 7 1.0000000e-01 0 0 9 9\r\n", records_of())
    assert found.images.tolist() == [1, 0]
    assert found.scores.tolist() == [0.5, 0.1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3 7 .5 0 0 9 9\n3 7 .5 0 0 9\n", r"det\.txt:2: wanted 7 words \(image_index det_id .*\), got 6"),
        ("\n3 7 .5 0 0 9 9 9\n", r"det\.txt:2: wanted 7 words .*, got 8"),
        ("3 7 .5 0 0 9\n", r"det\.txt:1: wanted 7 words .*, got 6"),
        ("3 7 .5 0 0 9 9\n\n3 7 high 0 0 9 9\n", r"det\.txt:3: wanted a finite number for score, got 'high'"),
        ("3 7 .5 0 0 nan 9\n", r"det\.txt:1: wanted a finite number for xmax, got 'nan'"),
        ("3 7 inf 0 0 9 9\n", r"det\.txt:1: wanted a finite number for score, got 'inf'"),
        ("3 7 1_0 0 0 9 9\n", r"det\.txt:1: wanted a finite number for score, got '1_0'"),
        ("3 7 .5 0 0 9 9\n\n4 7 .5 0 0 9 9\n", r"det\.txt:3: image 4 is none of the data set's 3, numbered 3 to 20"),
        ("3.5 7 .5 0 0 9 9\n", r"det\.txt:1: image 3\.5 is none"),
        ("-1 7 .5 0 0 9 9\n", r"det\.txt:1: image -1 is none"),
        ("3 1 .5 0 0 9 9\n", r"det\.txt:1: class 1 is none of the data set's 3, numbered 7 to 90"),
        ("img_3 7 .5 0 0 9 9\n", r"det\.txt:1: wanted a finite number for image_index, got 'img_3'"),
    ],
)
def test_a_malformed_devkit_line_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text, records_of())


def test_voc_files_hold_a_class_each_and_count_pixels_from_1(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "comp4_det_test_hot dog.txt").write_text("a 0.5 1 1 10 20\nc 0.25 3 4 3 4\n")
    (folder / "comp3_5a2f_det_val_cat.txt").write_text("")  # another competition, a salt, another split; no detections
    (folder / "notes.txt").write_text("not a result file")
    records = records_of(PLAIN, numbers=WITHOUT_NUMBERS)
    assert as_rows(read_det(folder, records)) == [(1, 1, 0.5, 0, 0, 10, 20), (2, 1, 0.25, 2, 3, 3, 4)]
    assert len(read_det(folder / "comp4_det_test_hot dog.txt", records)) == 2  # one class alone
    assert len(read_det(folder / "comp3_5a2f_det_val_cat.txt", records)) == 0


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "comp4_det_test_cat.txt",
            "a .5 1 1 9 9\nd .5 1 1 9 9\n",
            r"cat\.txt:2: image 'd' is none of the data set's 3, such as 'b'",
        ),
        ("comp4_det_test_cat.txt", "ab .5 1 1 9 9\n", r"cat\.txt:1: image 'ab' is none"),  # one letter more than any
        ("comp4_det_test_cat.txt", "\na .5 1 1 9 9\n\nBlood_7.jpg 0 1 1 9 9\n", r"cat\.txt:4: image 'Blood_7\.jpg' is"),
        ("comp4_det_test_cat.txt", "a .5 1 1 9\n", r"cat\.txt:1: wanted 6 words \(image score .*\), got 5"),
        ("comp4_det_test_cat.txt", "a .5 1 1 9 9 9\n", r"cat\.txt:1: wanted 6 words .*, got 7"),
        ("comp4_det_test_cat.txt", "a .5 1 1 9 x\n", r"cat\.txt:1: wanted a finite number for ymax, got 'x'"),
        ("comp4_det_test_cat.txt", "a .5 1 1 nan 9\n", r"cat\.txt:1: wanted a finite number for xmax, got 'nan'"),
        ("comp4_det_test_dog.txt", "", r"dog\.txt: class 'dog' is none of the data set's 3"),
    ],
)
def test_a_malformed_voc_line_is_named(tmp_path, name, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text, records_of(PLAIN), name)


def test_a_folder_without_voc_files_or_with_two_for_a_class_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no file in this folder is called .* comp4_det_test_<class>\.txt"):
        read_det(tmp_path, records_of(PLAIN))
    for name in ("comp3_det_test_cat.txt", "comp4_det_test_cat.txt"):
        (tmp_path / name).write_text("")
    with pytest.raises(InputError, match=r"comp4_det_test_cat\.txt: class 'cat' has another file, comp3_det_test_cat"):
        read_det(tmp_path, records_of(PLAIN))
    with pytest.raises(InputError, match="an image is in it twice"):
        read(tmp_path, "", records_of(PLAIN, names=("a", "a", "b")), "comp4_det_test_ant.txt")


def test_voc_ids_may_have_the_images_ending_and_the_folders_that_tell_images_apart(tmp_path):
    name, lines = "comp4_det_test_cat.txt", "{} .5 1 1 9 9\n{} .5 1 1 9 9\n"
    both = lines.format("c.jpg", "a")
    assert read(tmp_path, both, records_of(PLAIN, numbers=WITHOUT_NUMBERS), name).images.tolist() == [2, 1]
    both = lines.format("old/a", "new/a.jpg")
    assert read(tmp_path, both, records_of(PLAIN, names=("new/a", "b", "old/a")), name).images.tolist() == [2, 0]


def some_predictions():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 40, (200, 2)).astype(np.float32)
    boxes = np.concatenate((corners, corners + rng.uniform(0, 20, (200, 2)).astype(np.float32)), axis=1)
    per_image = np.split(np.arange(200), [90, 90])  # the image in the middle has none
    return collect(
        (image, Detections(*(torch.from_numpy(a[rows]) for a in (boxes, scores, labels))))
        for scores, labels in [(rng.random(200).astype(np.float32), rng.integers(0, 3, 200))]
        for image, rows in enumerate(per_image)
    )


@pytest.mark.parametrize("form", ["devkit", "voc", "coco"])
@pytest.mark.parametrize(
    "records", [records_of(), records_of(PLAIN, numbers=WITHOUT_NUMBERS)], ids=["numbered", "plain"]
)
def test_what_is_written_is_read_back(tmp_path, form, records):
    made = some_predictions()
    back = read_det(write_det(tmp_path / "new" / "folder", made, records, form), records)
    assert len(back) == 200
    rows, wanted = (sorted(as_rows(each)) for each in (back, made))
    np.testing.assert_allclose(rows, wanted, rtol=1e-8, atol=1e-9)
    assert len(np.unique(back.scores)) == len(np.unique(made.scores))  # none that were apart rank as equals


@pytest.mark.parametrize("form", ["devkit", "voc", "coco"])
def test_no_detections_at_all_are_written_and_read_back(tmp_path, form):
    made = write_det(tmp_path, predictions([], [], [], []), records_of(PLAIN), form)
    assert len(read_det(made, records_of(PLAIN))) == 0


def test_files_of_other_classes_that_lie_there_are_not_read_with_those_that_are_written(tmp_path):
    write_det(tmp_path, some_predictions(), records_of(PLAIN), "voc")
    other = records_of(Classes(("dog",), ("dog",)))
    back = read_det(write_det(tmp_path, predictions([0], [0], [0.5], [(1, 2, 3, 4)]), other, "voc"), other)
    assert len(back) == 1


SLASH, LONG = Classes(("ant/bee", "b", "c"), ("x", "y", "z")), Classes(("ä" * 120, "b", "c"), ("x", "y", "z"))


@pytest.mark.parametrize(
    ("classes", "names", "why"),
    [
        (SLASH, ("a", "b", "c"), "class 'ant/bee' cannot be in a file's name"),
        (LONG, ("a", "b", "c"), "ä' is too long to be in a file's name"),
        (PLAIN, ("a", "my photo", "b"), "image 'my photo': VOC's form takes no spaces in names"),
        (PLAIN, ("a", "photo ", "b"), "image 'photo ': VOC's form takes no spaces in names"),
        (PLAIN, ("a", "caf\udce9", "b"), r"image 'caf\\udce9': its name is not UTF-8"),
    ],
)
def test_what_vocs_form_cannot_hold_is_written_as_jsonl_and_read_back(tmp_path, classes, names, why):
    made, records = some_predictions(), records_of(classes, names)
    assert re.search(why, det_voc.fault(records))
    written = write_det(tmp_path, made, records, "voc")
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.jsonl"] == [written.name]
    assert as_rows(read_det(written, records)) == as_rows(made)


def test_images_that_even_their_paths_do_not_tell_apart_are_written_all_the_same(tmp_path):
    records = records_of(PLAIN, ("a", "b", "a"))
    assert det_voc.fault(records) == "two images are called 'a.jpg', which VOC's form could not tell apart"
    assert write_det(tmp_path, some_predictions(), records, "voc").read_text().count("\n") == 3


def test_vocs_form_names_images_of_one_name_by_their_folders(tmp_path):
    made, records = some_predictions(), records_of(PLAIN, ("new/a", "new/b", "old/a"))
    back = read_det(write_det(tmp_path, made, records, "voc"), records)
    np.testing.assert_allclose(sorted(as_rows(back)), sorted(as_rows(made)), rtol=1e-8, atol=1e-9)


def test_collected_boxes_are_in_hundredths_of_a_pixel():
    made = collect([(4, found((1, 0.5, (0.123, 0.456, 10.789, 20)))), (0, found())])
    assert as_rows(made) == [(4, 1, 0.5, 0.12, 0.46, 10.79, 20)]
    assert len(collect([])) == 0


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"scores must be \(1,\) as boxes, got \(2,\)"):
        DetPredictions(np.zeros(1, int), np.zeros(1, int), np.zeros(2), np.zeros((1, 4)))
    with pytest.raises(ValueError, match=r"boxes must be \(N, 4\)"):
        DetPredictions(np.zeros(1, int), np.zeros(1, int), np.zeros(1), np.zeros((1, 5)))


def test_a_file_that_is_missing_huge_or_no_text_is_named(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"gone\.txt: no such predictions file"):
        read_det(tmp_path / "gone.txt", records_of())
    (tmp_path / "x.bin").write_bytes(b"\xff\xfe\x00\x9c")
    with pytest.raises(InputError, match=r"x\.bin: wanted text \(devkit text, VOC's"):
        read_det(tmp_path / "x.bin", records_of())
    monkeypatch.setattr("resdet.predictions.read.LARGEST_FILE", 3)
    with pytest.raises(InputError, match=r"x\.bin: larger than"):
        read_det(tmp_path / "x.bin", records_of())


def test_lines_are_read_without_their_text_at_four_bytes_a_letter(tmp_path):
    text = "".join(f"3 90 0.987654 {i}.25 20.50 130.75 240.00\n" for i in range(20_000))
    tracemalloc.start()
    try:
        table = read_table(tmp_path / "det.txt", text, COLUMNS)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 4 * len(text) + table.numbers.nbytes  # 10 million detections: 1.3 GB less


def test_no_other_form_is_the_devkits(tmp_path):
    with pytest.raises(ValueError, match="form must be coco, voc or devkit, got 'jsonl'"):
        write_det(tmp_path, predictions([], [], [], []), records_of(PLAIN), "jsonl")
