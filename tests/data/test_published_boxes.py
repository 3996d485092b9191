"""ImageNet's boxes as they are published: names of breeds for WNIDs, minima above maxima in train, tables of rows."""

import os

import pytest
from test_ilsvrc_loc import GOLDFISH, TENCH, put, put_val, rows, xml

from resdet.data.formats.ilsvrc_loc import read
from resdet.data.formats.inclusive import read_box
from resdet.errors import InputError


def test_names_that_are_no_class_in_train_are_the_images_own_and_corners_are_put_in_order(tmp_path):
    """As in the published boxes: "Scottish_deerhound" for n02092002, and a minimum above the maximum."""
    put(tmp_path, "LOC_synset_mapping.txt", f"{TENCH} tench\n{GOLDFISH} goldfish\n")
    strange = xml(("Some_fish", 4, 5, 6, 7), (GOLDFISH, 8, 1, 2, 3))
    put(tmp_path, f"Annotations/CLS-LOC/train/{TENCH}/{TENCH}_1.xml", strange)
    wanted = [(f"Data/CLS-LOC/train/{TENCH}/{TENCH}_1.JPEG", 0, [(4, 5, 7, 8), (2, 1, 9, 4)], [0, 1])]
    put(tmp_path, f"Data/CLS-LOC/train/{TENCH}/{TENCH}_1.JPEG")
    assert rows(read(tmp_path, "train")) == wanted
    os.remove(tmp_path / f"Annotations/CLS-LOC/train/{TENCH}/{TENCH}_1.xml")
    for folder in (f"Annotations/CLS-LOC/train/{TENCH}", "Annotations/CLS-LOC/train"):
        os.rmdir(tmp_path / folder)
    row = f"{TENCH}_1,Some_fish 4 5 6 7 {GOLDFISH} 8 1 2 3"
    put(tmp_path, "LOC_train_solution.csv", f"ImageId,PredictionString\n{row}\n")
    assert rows(read(tmp_path, "train")) == wanted


def test_val_is_held_to_its_classes_and_corners(tmp_path):
    for box in (("Some_fish", 0, 0, 1, 1), (TENCH, 5, 0, 1, 1)):
        put(tmp_path, "LOC_synset_mapping.txt", f"{TENCH} tench\n")
        put_val(tmp_path, a=[box])
        with pytest.raises(InputError, match=r"a\.xml: object 1: .*(class list|upside down)"):
            read(tmp_path, "val")


def test_an_image_with_two_rows_is_named_and_not_left_with_the_boxes_of_one(tmp_path):
    put(tmp_path, "ImageSets/CLS-LOC/val.txt", "v_1 1\n")
    two = f"v_1,{TENCH} 1 2 3 4\nv_1,{TENCH} 5 6 7 8\n"
    put(tmp_path, "LOC_val_solution.csv", f"ImageId,PredictionString\n{two}")
    with pytest.raises(InputError, match=r"LOC_val_solution\.csv:3: image 'v_1' has a row already, in line 2"):
        read(tmp_path, "val")


@pytest.mark.parametrize("quotes", [('"', ""), ('"', '"')], ids=["one", "two rows apart"])
def test_a_quote_that_is_left_open_does_not_give_an_image_the_boxes_of_those_below_it(tmp_path, quotes):
    """Of train the words of a row are no class of the set, and so the image's own: nothing else would be amiss."""
    put(tmp_path, "LOC_synset_mapping.txt", f"{TENCH} tench\n")
    names = [f"{TENCH}_{number}" for number in range(4)]
    put(tmp_path, "ImageSets/CLS-LOC/train_loc.txt", "".join(f"{TENCH}/{name} 1\n" for name in names))
    lines = [f"{name},{TENCH} 1 2 3 4 \n" for name in names]
    lines[1] = f"{names[1]},{quotes[0]}{TENCH} 1 2 3 4 \n"
    lines[3] = f"{names[3]},{TENCH} 1 2 3 4 {quotes[1]}\n"
    put(tmp_path, "LOC_train_solution.csv", "ImageId,PredictionString\n" + "".join(lines))
    with pytest.raises(InputError, match=r"LOC_train_solution\.csv(:5: a quote is open|: .* unexpected end of data)"):
        read(tmp_path, "train")


def test_digits_with_an_underscore_are_no_number():
    """Python would take 1_3 for 13."""
    with pytest.raises(InputError, match=r"^a\.xml: xmax: wanted a number, got '1_3'$"):
        read_box(["1", "2", "1_3", "9"], "a.xml", 0)
