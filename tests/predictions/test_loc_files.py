"""Devkit text and Kaggle CSV: read as others write them, written so that they read back."""

from pathlib import Path

import numpy as np
import pytest
import torch

from resdet.data.lists import imagenet_names, imagenet_wnids
from resdet.data.records import Classes, Record, pack
from resdet.errors import InputError
from resdet.predictions import devkit, kaggle
from resdet.predictions.loc import LocPredictions
from resdet.predictions.read import read_loc
from resdet.predictions.write import write_loc
from resdet.structures import Detections

IMAGENET = Classes(imagenet_wnids(), imagenet_names())
ANIMALS = Classes(("ant", "bee", "cat"), ("ant", "bee", "cat"))
KIT_FOX, TENCH = imagenet_wnids().index("n02119789"), 0


def records_of(names, classes=ANIMALS):
    return pack(Path("set"), classes, [Record(f"val/{name}.JPEG", 0, [(0, 0, 1, 1)]) for name in names])


def read(tmp_path, text, records, name="loc.txt"):
    (tmp_path / name).write_text(text)
    return read_loc(tmp_path / name, records)


def found(*rows):
    """Detections from ``(label, box)`` rows, best first."""
    boxes = torch.tensor([box for _, box in rows], dtype=torch.float32).reshape(-1, 4)
    return Detections(boxes, torch.ones(len(rows)), torch.tensor([label for label, _ in rows], dtype=torch.int64))


def test_devkit_numbers_are_the_kits_for_imagenet_and_places_in_the_list_elsewhere(tmp_path):
    imagenet = read(tmp_path, "1 5 6 7 8\n", records_of(["x"], IMAGENET))
    assert imagenet.labels.tolist() == [[KIT_FOX, -1, -1, -1, -1]]
    assert imagenet.boxes[0, 0].tolist() == [5, 6, 7, 8]
    assert read(tmp_path, "1 5 6 7 8\n", records_of(["x"])).labels[0, 0] == 0


def test_devkit_lines_belong_to_the_images_in_alphabetical_order(tmp_path):
    predictions = read(tmp_path, "1 0 0 1 1\n2 0 0 1 1\n3 0 0 1 1\n", records_of(["val_10", "val_2", "val_1"]))
    assert predictions.labels[:, 0].tolist() == [1, 2, 0]  # the file: val_1, val_10, val_2


def test_devkit_lines_may_be_short_long_padded_and_as_matlab_writes_them(tmp_path):
    lines = [
        "1 0 0 9 9 2 1 2 3 4",
        " ".join(f"{1 + i % 3} {i} 0 9 9" for i in range(7)),
        "2 0 0 9 9 0 0 0 0 0",
        "",
        "2.00 1.5 0 9 9",
        "3,0,0,9,9",
    ]
    predictions = read(tmp_path, "\n".join(lines) + "\n", records_of("abcdef"))
    assert predictions.labels.tolist() == [
        [0, 1, -1, -1, -1],
        [0, 1, 2, 0, 1],
        [1, -1, -1, -1, -1],
        [-1] * 5,
        [1, -1, -1, -1, -1],
        [2, -1, -1, -1, -1],
    ]
    assert predictions.boxes[1, :, 0].tolist() == [0, 1, 2, 3, 4]
    assert predictions.boxes[4, 0, 0] == 1.5


def test_a_last_line_may_be_empty(tmp_path):
    assert read(tmp_path, "1 0 0 9 9\n\n", records_of(["a", "b"])).labels[:, 0].tolist() == [0, -1]
    assert read(tmp_path, "1 0 0 9 9\n\n\n", records_of(["a"])).labels[:, 0].tolist() == [0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 0 9 9\n", r"loc\.txt: wanted a line for each of the 2 images, got 1 lines"),
        ("1 0 0 9 9\n1 0 0 9\n", r"loc\.txt:2: wanted groups of 5 .*, got 4 words"),
        ("1 0 0 9 9\n4 0 0 9 9\n", r"loc\.txt:2: class '4' is none of the 3 known"),
        ("1 0 0 9 9\n-1 0 0 9 9\n", r"loc\.txt:2: class '-1' is none"),
        ("1 0 0 9 9\n1.5 0 0 9 9\n", r"loc\.txt:2: class '1.5' is none"),
        ("1 0 0 9 9\n1 0 0 1_3 9\n", r"loc\.txt:2: wanted xmin ymin xmax ymax as numbers, got '0 0 1_3 9'"),
        ("1 0 0 9 9\n1 0 0 x 9\n", r"loc\.txt:2: wanted xmin ymin xmax ymax as numbers, got '0 0 x 9'"),
        ("1 0 0 9 9\n1 0 0 inf 9\n", r"loc\.txt:2: a coordinate is not a finite number"),
        ("1 0 0 9 9\nnan 0 0 9 9\n", r"loc\.txt:2: class 'nan' is none"),
        ("\n\n", r"loc\.txt: empty"),
    ],
)
def test_a_malformed_devkit_line_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text, records_of(["a", "b"]))


def test_kaggle_rows_are_matched_by_name_with_a_wnid_or_a_line_number(tmp_path):
    text = "ImageId,PredictionString\nb,n02119789 1 2 3 4 1 0 0 9 9\na,n01440764 5 6 7 8\n"
    predictions = read(tmp_path, text, records_of(["a", "b"], IMAGENET))
    assert predictions.labels[:, :2].tolist() == [[TENCH, -1], [KIT_FOX, TENCH]]  # line 1 is the tench
    assert predictions.boxes[:, 0].tolist() == [[5, 6, 7, 8], [1, 2, 3, 4]]


def test_kaggle_files_may_be_quoted_marked_and_have_images_without_a_guess(tmp_path):
    text = '\ufeffImageId,PredictionString\r\n"a","bee 1 2 3 4 "\r\nb,\r\n'
    assert read(tmp_path, text, records_of(["a", "b"])).labels[:, 0].tolist() == [1, -1]


def test_a_kaggle_row_may_be_padded_and_a_name_may_end_in_a_space(tmp_path):
    text = "ImageId,PredictionString\n b ,bee 1 2 3 4\na ,ant 1 2 3 4\n"
    assert read(tmp_path, text, records_of(["a ", "b"])).labels[:, 0].tolist() == [0, 1]


def test_where_classes_are_called_by_numbers_a_number_is_the_class(tmp_path):
    digits = Classes(("0", "1", "2"), ("0", "1", "2"))
    text = "ImageId,PredictionString\na,1 0 0 9 9\n"
    assert read(tmp_path, text, records_of(["a"], digits)).labels[0, 0] == 1
    assert kaggle.class_words(digits, numbers=True) == ("0", "1", "2")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,bee 1 2 3 4\n", r"loc\.csv: no row for 1 of 2 images, the first is 'b'"),
        ("a,\nb,\na,\n", r"loc\.csv:4: image 'a' has a row already"),
        ("a,\nc,\n", r"loc\.csv:3: image 'c' is not among the data set's 2"),
        ("a,\nb,dog 1 2 3 4\n", r"loc\.csv:3: class 'dog' is none of the 3 known"),
        ("a,\nb,4 1 2 3 4\n", r"loc\.csv:3: class '4' is none of the 3 known"),
        ("a,\nb,bee 1 2 3\n", r"loc\.csv:3: wanted groups of 5 .*, got 4 words"),
        ("a,\nb\n", r"loc\.csv:3: wanted ImageId,PredictionString, got 1 columns"),
    ],
)
def test_a_malformed_kaggle_row_is_named(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, "ImageId,PredictionString\n" + rows, records_of(["a", "b"]), "loc.csv")


def test_a_csv_without_the_header_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"loc\.csv:1: wanted the header ImageId,PredictionString"):
        read(tmp_path, "a,bee 1 2 3 4\n", records_of(["a"]), "loc.csv")


def test_images_of_one_name_are_told_apart_by_their_folders(tmp_path):
    paths = ["set/dog/1.jpg", "set/cat/2.jpg", "set/cat/1.jpg", "set/cat/deep/1.jpg"]
    records = pack(Path("set"), ANIMALS, [Record(path, 0) for path in paths])
    made = LocPredictions(np.array([[0], [1], [2], [1]]), np.arange(16.0).reshape(4, 1, 4))
    write_loc(tmp_path, made, records)
    assert (tmp_path / "predictions.csv").read_text().splitlines()[1:] == [
        "cat/1,cat 8 9 10 11",
        "cat/2,bee 4 5 6 7",
        "cat/deep/1,bee 12 13 14 15",
        "dog/1,ant 0 1 2 3",
    ]
    for name in ("predictions.csv", "predictions.numbers.csv", "predictions.txt"):
        back = read_loc(tmp_path / name, records)
        assert back.labels[:, 0].tolist() == [0, 1, 2, 1], name
        assert back.boxes[:, 0].tolist() == made.boxes[:, 0].tolist(), name
    lines = "dog/1.jpg,ant 0 0 1 1\n/elsewhere/set/cat/2.jpg,\ncat/1.jpg,\nset/cat/deep/1,\n"
    assert read(tmp_path, kaggle.HEADER + lines, records).labels[:, 0].tolist() == [0, -1, -1, -1]
    with pytest.raises(InputError, match=r"loc\.txt:2: image '1' is not among the data set's 4, such as 'dog/1'"):
        read(tmp_path, f"{kaggle.HEADER}1,\n", records)


def test_an_image_that_is_in_the_set_twice_cannot_be_matched_by_name(tmp_path):
    records = pack(Path("set"), ANIMALS, [Record("p/a.JPEG", 0), Record("p/a.JPEG", 0)])
    with pytest.raises(InputError, match=r"the data set has two images 'a\.JPEG'"):
        read(tmp_path, "ImageId,PredictionString\na,\n", records)


def test_a_row_may_name_its_image_with_folders_and_ending(tmp_path):
    records = records_of(["a", "v1.5", "v1"])
    lines = "photographs/a,ant 0 0 1 1\nv1.5,bee 0 0 1 1\nval/v1.JPEG,cat 0 0 1 1\n"
    assert read(tmp_path, kaggle.HEADER + lines, records).labels[:, 0].tolist() == [0, 1, 2]
    with pytest.raises(InputError, match=r"image 'v1\.6' is not among"):
        read(tmp_path, f"{kaggle.HEADER}v1.6,\n", records)


def test_written_lines_are_rounded_clipped_cut_to_five_and_never_empty():
    numbers = devkit.class_numbers(IMAGENET)
    guess = (KIT_FOX, (-3.0, 0.4, 64.0, 20.5))
    assert devkit.format_line(found(guess), 64, 48, numbers) == "1 0 0 63 20\n"
    assert devkit.format_line(found(*[guess] * 6), 64, 48, numbers).count("63") == 5
    assert devkit.format_line(found(), 64, 48, numbers) == "0 0 0 0 0\n"
    assert kaggle.format_line("x", found(guess), 64, 48, kaggle.class_words(IMAGENET)) == "x,n02119789 0 0 63 20\n"
    line_numbers = kaggle.class_words(IMAGENET, numbers=True)
    assert kaggle.format_line("x", found((TENCH, (0, 0, 5, 5))), 9, 9, line_numbers) == "x,1 0 0 4 4\n"


ODD = Classes(("hot dog", "a,b", "c"), ("hot dog", "a,b", "c"))
PAIR = found((2, (1, 2, 11, 12)), (0, (3.2, 4, 13.7, 14)))
PIXELS = [[1, 2, 10, 11], [3, 4, 13, 13]]


@pytest.mark.parametrize("classes", [IMAGENET, ANIMALS, ODD], ids=["imagenet", "animals", "odd names"])
@pytest.mark.parametrize("numbered", [False, True])
def test_what_is_written_is_read_back(tmp_path, classes, numbered):
    records = records_of(["a", "b, c"], classes)
    words = kaggle.class_words(classes, numbered)
    csv = [kaggle.format_line("b, c", PAIR, 64, 64, words), kaggle.format_line("a", found(), 64, 64, words)]
    numbers = devkit.class_numbers(classes)
    lines = [devkit.format_line(found(), 64, 64, numbers), devkit.format_line(PAIR, 64, 64, numbers)]
    for text in (kaggle.HEADER + "".join(csv), "".join(lines)):
        predictions = read(tmp_path, text, records)
        assert predictions.labels.tolist() == [[-1] * 5, [2, 0, -1, -1, -1]]
        assert predictions.boxes[1, :2].tolist() == PIXELS


@pytest.mark.parametrize("classes", [IMAGENET, ANIMALS, ODD], ids=["imagenet", "animals", "odd names"])
def test_a_whole_sets_files_are_read_back_equal_whichever_word_a_class_goes_by(tmp_path, classes):
    records = records_of(["b", "a, c"], classes)
    labels = np.array([[2, 0, 1, -1, -1], [-1] * 5])
    boxes = np.arange(40.0).reshape(2, 5, 4) * (labels >= 0)[:, :, None]
    write_loc(tmp_path / "new", LocPredictions(labels, boxes), records)
    for name in ("predictions.txt", "predictions.csv", "predictions.numbers.csv"):
        predictions = read_loc(tmp_path / "new" / name, records)
        assert predictions.labels.tolist() == labels.tolist(), name
        assert predictions.boxes.tolist() == boxes.tolist(), name


def test_the_same_class_is_a_wnid_a_line_of_the_mapping_or_the_kits_number(tmp_path):
    write_loc(tmp_path, LocPredictions(np.array([[KIT_FOX]]), np.array([[[1.0, 2, 3, 4]]])), records_of("x", IMAGENET))
    assert (tmp_path / "predictions.csv").read_text() == "ImageId,PredictionString\nx,n02119789 1 2 3 4\n"
    assert (tmp_path / "predictions.numbers.csv").read_text() == "ImageId,PredictionString\nx,279 1 2 3 4\n"
    assert (tmp_path / "predictions.txt").read_text() == "1 1 2 3 4\n"


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.txt: no such predictions file"):
        read_loc(tmp_path / "gone.txt", records_of(["a"]))
    with pytest.raises(InputError, match="wanted a predictions file, got a folder"):
        read_loc(tmp_path, records_of(["a"]))
    (tmp_path / "x.bin").write_bytes(b"\xff\xfe\x00\x9c")
    with pytest.raises(InputError, match=r"x\.bin: wanted text"):
        read_loc(tmp_path / "x.bin", records_of(["a"]))
