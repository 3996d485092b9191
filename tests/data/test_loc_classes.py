"""The classes of a tree in ILSVRC's layout that has no list of them."""

from resdet.data.formats.loc_classes import classes_of
from resdet.data.lists import imagenet_wnids

OTHERS = ("n90000003", "n90000001", "n90000007", "n90000005", "n90000002", "n90000006", "n90000004")


def test_classes_that_are_not_imagenets_are_sorted(tmp_path):
    assert classes_of(tmp_path, OTHERS).ids == tuple(sorted(OTHERS))


def test_one_class_of_imagenets_is_enough_to_be_all_of_them(tmp_path):
    assert classes_of(tmp_path, (*OTHERS, "n01440764")).ids == tuple(imagenet_wnids())
    assert classes_of(tmp_path, ()).ids == tuple(imagenet_wnids())
