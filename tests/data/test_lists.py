import os
from pathlib import Path

import pytest

from resdet.data.lists import (
    clsloc_blacklist,
    coco_classes,
    det_wnids,
    devkit_ids,
    imagenet_names,
    imagenet_wnids,
    standard_numbers,
)


def test_there_are_a_thousand_different_classes_in_sorted_order():
    assert len(imagenet_wnids()) == len(set(imagenet_wnids())) == 1000
    assert list(imagenet_wnids()) == sorted(imagenet_wnids())
    assert (imagenet_wnids()[0], imagenet_names()[0]) == ("n01440764", "tench")


def test_names_are_torchvisions_in_the_same_order():
    meta = pytest.importorskip("torchvision.models._meta")
    assert list(imagenet_names()) == meta._IMAGENET_CATEGORIES
    assert len(set(imagenet_names())) == 1000


def test_devkit_ids_are_a_numbering_of_the_same_classes_that_begins_with_the_kit_fox():
    ids = devkit_ids()
    assert set(ids) == set(imagenet_wnids())
    assert sorted(ids.values()) == list(range(1, 1001))
    assert (ids["n02119789"], ids["n02100735"], ids["n02110185"]) == (1, 2, 3)
    assert imagenet_names()[imagenet_wnids().index("n02119789")] == "kit fox"


def test_known_lists_have_their_own_numbers_in_any_order():
    assert standard_numbers(det_wnids()[::-1])[-3:] == (3, 2, 1), "ant, airplane, accordion"
    names = tuple(coco_classes().values())
    assert standard_numbers(names)[10:13] == (11, 13, 14), "COCO has no 12"
    assert standard_numbers(names[:79]) == standard_numbers(("ant", "bee")) == standard_numbers(imagenet_wnids()) == ()


def test_blacklist_has_1762_image_numbers_of_the_50000():
    numbers = clsloc_blacklist()
    assert len(numbers) == 1762
    assert min(numbers) == 36
    assert max(numbers) == 49981


@pytest.mark.skipif("RESDET_DATA" not in os.environ, reason="RESDET_DATA does not name a folder of real data sets")
def test_lists_agree_with_the_development_kits_own_files():
    folder = Path(os.environ["RESDET_DATA"]) / "ilsvrc-metadata"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    mapping = (folder / "LOC_synset_mapping.txt").read_text().splitlines()
    assert [line.split()[0] for line in mapping] == list(imagenet_wnids())
    kit = [line.split() for line in (folder / "map_clsloc.txt").read_text().splitlines()]
    assert {wnid: int(number) for wnid, number, _ in kit} == devkit_ids()
    numbers = (folder / "clsloc_val_blacklist.txt").read_text().split()
    assert {int(n) for n in numbers} == clsloc_blacklist()
