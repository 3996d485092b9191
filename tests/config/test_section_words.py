"""A word whose value is settings in braces sets these and no others."""

import pytest

from resdet.config import ClsConfig, DetConfig, load_config, override

SET = {"train": {"epochs": 5, "lr_drop_epochs": [3]}, "model": {"backbone": {"depth": 18, "width": 8}}}


@pytest.mark.parametrize(
    ("braces", "words"),
    [
        ("train={lr: 0.5, momentum: 0.8}", ("train.lr=0.5", "train.momentum=0.8")),
        ("model={backbone: {width: 16}}", ("model.backbone.width=16",)),
        ("model.backbone={width: 16}", ("model.backbone.width=16",)),
        ("train={}", ()),
        ("train=null", ()),
        ("model={backbone: null}", ()),
    ],
)
def test_what_a_file_has_beside_them_stays(braces, words):
    expected = override(ClsConfig, SET, words, "test")
    assert override(ClsConfig, SET, (braces,), "test") == expected
    assert (expected.train.epochs, expected.model.backbone.depth) == (5, 18)


def test_other_words_stay_in_either_order():
    for words in (("test.shorter=320", "test={vote: true}"), ("test={vote: true}", "test.shorter=320")):
        test = load_config(DetConfig, None, words).test
        assert (test.shorter, test.vote) == (320, True)


def test_an_unknown_name_in_braces_is_told_with_its_place():
    with pytest.raises(ValueError, match=r"unknown setting 'train\.lrr'; did you mean 'train\.lr'"):
        override(ClsConfig, SET, ("train={lrr: 1}",), "test")
