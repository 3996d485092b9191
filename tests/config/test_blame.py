"""Whose an error in the settings is: the file's, a word's, or that of both together."""

import pytest

from resdet.config import ClsConfig, DetConfig, load_config, override, to_dict
from resdet.errors import UsageError


def refusal(folder, text, *words, kind=ClsConfig):
    file = folder / "some.yaml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_config(kind, file, words)
    said = str(caught.value)
    assert "\n" not in said
    return said.replace(str(file), "some.yaml")


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        # the word is wrong whatever the file says
        ("train: {seed: 1}", ["train.lr=abc"], "train.lr=abc: wanted a number, got 'abc'"),
        ("train: {lr: 1}", ["train.lr=0"], "train.lr=0: train.lr must be above 0, got 0.0"),
        ("train: {lr: 0}", ["train.lr=-1"], "train.lr=-1: train.lr must be above 0, got -1.0"),
        ("", ["train.lrr=1"], "train.lrr=1: unknown setting 'train.lrr'; did you mean 'train.lr'?"),
        ("", ["train.sizes=[[0]]"], "train.sizes=[[0]]: train.sizes[0]: wanted 2 values, got [0]"),
        ("train: {lr: 1}", ["train=3"], "train=3: wanted settings, got 3"),
        # and so is the file
        ("train: {lr: abc}", ["train.seed=1"], "some.yaml: train.lr: wanted a number, got 'abc'"),
        ("train: {lr: 0}", ["train.seed=1"], "some.yaml: train.lr must be above 0, got 0.0"),
        ("train: {lr: 0}", [], "some.yaml: train.lr must be above 0, got 0.0"),
        ("trian: {lr: 1}", ["train.seed=1"], "some.yaml: unknown setting 'trian'; did you mean 'train'?"),
    ],
)
def test_the_one_that_is_wrong_is_named_and_nothing_else(tmp_path, text, words, line):
    assert refusal(tmp_path, text, *words) == line


def test_of_several_words_the_wrong_one_is_named(tmp_path):
    words = ["train.seed=1", "train.lr=0.5", "train.momentum=1", "data.workers=0"]
    said = refusal(tmp_path, "train: {seed: 2}", *words)
    assert said == "train.momentum=1: train.momentum must be from 0 to below 1, got 1.0"


def test_of_a_word_given_twice_the_last_is_meant(tmp_path):
    said = refusal(tmp_path, "", "train.lr=-1", "train.lr=1", "train.lr=-2", "train.lr=-1")
    assert said == "train.lr=-1: train.lr must be above 0, got -1.0"
    assert load_config(ClsConfig, None, ["train.lr=-1", "train.lr=1"]).train.lr == 1
    assert load_config(ClsConfig, None, ["train.lr=1", "train.lr=2", "train.lr=1"]).train.lr == 1


def test_what_only_the_file_and_a_word_together_do_wrong_names_both(tmp_path):
    text = "train: {epochs: 5, lr_drop_epochs: [2, 4]}\n"
    said = refusal(tmp_path, text, "train.seed=1", "train.epochs=3")
    assert said.startswith("some.yaml with train.epochs=3: train.lr_drop_epochs (2.0, 4.0) reach past train.epochs 3.0")
    said = refusal(tmp_path, "model: {backbone: {family: cifar, depth: 20}}", "model.backbone.depth=18")
    assert said.startswith("some.yaml with model.backbone.depth=18: model.backbone.depth must be one of 20, 32")
    said = refusal(tmp_path, "train: {lr: 1}", "train.lr.x=3")
    assert said == "some.yaml with train.lr.x=3: 'lr' is not a section"


def test_what_a_word_does_wrong_with_the_defaults_is_the_words_own(tmp_path):
    said = refusal(tmp_path, "train: {seed: 1}", "train.epochs=12")
    assert said.startswith("train.epochs=12: train.lr_drop_epochs (30.0, 60.0, 90.0) reach past train.epochs 12.0")


def test_words_that_contradict_each_other_are_both_named(tmp_path):
    words = ["test.shorter=900", "data.workers=0", "test.longer=800"]
    said = refusal(tmp_path, "", *words, kind=DetConfig)
    assert said == "test.shorter=900 and test.longer=800: test.shorter 900 is above test.longer 800"


def test_a_checkpoint_that_has_every_setting_is_not_named_for_a_word():
    saved = to_dict(ClsConfig())
    with pytest.raises(UsageError) as caught:
        override(ClsConfig, saved, ["data.workers=1", "train.lr=abc"], "best.pt")
    assert str(caught.value) == "train.lr=abc: wanted a number, got 'abc'"
    saved["train"]["lr_drop_epochs"] = [1]
    with pytest.raises(UsageError, match=r"^best\.pt with train\.epochs=1: train\.lr_drop_epochs \(1\.0,\) reach past"):
        override(ClsConfig, saved, ["train.epochs=1"], "best.pt")
