"""The settings: what a file and words may say, and what each refusal tells."""

from dataclasses import fields, is_dataclass, replace

import pytest

from resdet.config import ClsConfig, DetConfig, LocConfig, TrainConfig, from_dict, load_config, override, to_dict
from resdet.errors import UsageError


def load(*words, kind=ClsConfig):
    return load_config(kind, None, words)


def yaml_file(folder, text):
    file = folder / "some.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def refusal(*words, kind=ClsConfig):
    with pytest.raises(UsageError) as caught:
        load(*words, kind=kind)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_defaults_are_the_papers():
    config = ClsConfig()  # Sec. 3.4
    assert (config.train.batch_size, config.train.lr) == (256, 0.1)
    assert (config.train.momentum, config.train.weight_decay) == (0.9, 1e-4)
    assert (config.augment.shorter_side, config.data.size) == ((256, 480), 224)
    colours = [LocConfig().augment, config.augment]  # App. C: "as in Sec. 3.4"
    assert [how.pca_lighting for how in colours] == [0.1, 0.1]
    assert not any((how.brightness, how.contrast, how.saturation, how.hue) != (0, 0, 0, 0) for how in colours)
    assert LocConfig().model.anchors_per_image == 8  # App. C


def test_a_file_changes_only_what_it_names(tmp_path):
    file = yaml_file(tmp_path, "train:\n  lr: 0.5\nmodel:\n  backbone:\n    depth: 18\n")
    config = load_config(ClsConfig, file)
    backbone = replace(ClsConfig().model.backbone, depth=18)
    assert config == ClsConfig(
        train=replace(TrainConfig(), lr=0.5), model=replace(ClsConfig().model, backbone=backbone)
    )


def test_words_have_the_last_say_over_the_file(tmp_path):
    file = yaml_file(tmp_path, "train:\n  lr: 0.5\n  seed: 3\n")
    config = load_config(ClsConfig, file, ["train.lr=0.25", "train.lr=0.125"])
    assert (config.train.lr, config.train.seed) == (0.125, 3)


def test_what_a_file_leaves_out_of_a_section_is_that_tasks_own_default(tmp_path):
    config = load_config(LocConfig, yaml_file(tmp_path, "train:\n  seed: 3\n"))
    assert config.train == replace(LocConfig().train, seed=3)
    assert config.train.epochs == 10 != TrainConfig().epochs


@pytest.mark.parametrize("text", ["", "# only a comment\n", "train:\n", "train:\n  # lr: 0.5\n"])
def test_empty_files_and_empty_sections_are_the_defaults(tmp_path, text):
    file = yaml_file(tmp_path, text)
    assert load_config(ClsConfig, file) == ClsConfig()
    assert load_config(ClsConfig, file, ["train.lr=0.5"]).train.lr == 0.5


@pytest.mark.parametrize(("word", "value"), [("1e-4", 1e-4), ("1.0e-4", 1e-4), ("1", 1.0), ("5E-1", 0.5)])
def test_numbers_are_read_however_they_are_written(word, value):
    lr = load(f"train.lr={word}").train.lr  # YAML 1.1 takes 1e-4 for a word
    assert lr == value
    assert type(lr) is float


def test_lists_become_tuples_of_the_settings_own_kind():
    train = load("train.lr_drop_epochs=[1, 2.5]", "train.sizes=[[0, 64], [9.5, 96]]").train
    assert train.lr_drop_epochs == (1.0, 2.5)
    assert train.sizes == ((0.0, 64), (9.5, 96))
    assert [type(v) for pair in train.sizes for v in pair] == [float, int, float, int]


def test_an_empty_value_is_an_empty_word():
    assert load("data.train=").data.train == ""
    assert load("data.train=null").data.train == ""


@pytest.mark.parametrize("kind", [ClsConfig, LocConfig])
def test_from_dict_undoes_to_dict(kind):
    config = load("train.sizes=[[0, 64], [9, 96]]", "model.backbone.depth=18", "data.train=shapes:x:train", kind=kind)
    assert config != kind()
    assert from_dict(kind, to_dict(config), "x") == config


def test_to_dict_holds_plain_types_only():
    def check(value):
        if isinstance(value, dict | list):
            for below in value.values() if isinstance(value, dict) else value:
                check(below)
        else:
            assert type(value) in (int, float, str, bool)

    check(to_dict(load("train.sizes=[[0, 64]]", kind=LocConfig)))


def test_override_leaves_the_callers_settings_alone():
    tree = {"train": {"lr": 0.5}}
    assert override(ClsConfig, tree, ["train.lr=1"], "x").train.lr == 1
    assert tree == {"train": {"lr": 0.5}}


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("train.lr_drop_stepz=[1]", "unknown setting 'train.lr_drop_stepz'; did you mean 'train.lr_drop_epochs'?"),
        ("train.epoch=1", "did you mean 'train.epochs'?"),
        ("trian.lr=1", "did you mean 'train'?"),
        ("lr=1", "unknown setting 'lr'; did you mean 'train.lr'?"),
        ("model.depth=18", "unknown setting 'model.depth'; did you mean 'model.backbone.depth'?"),
        ("model.backbone.stems=3x3", "did you mean 'model.backbone.stem'?"),
    ],
)
def test_an_unknown_setting_names_the_nearest(word, line):
    assert line in refusal(word)


def test_a_setting_like_no_other_is_refused_without_a_guess():
    assert refusal("train.xyzzy=1") == "train.xyzzy=1: unknown setting 'train.xyzzy'"


def test_a_refusal_names_the_file(tmp_path):
    file = yaml_file(tmp_path, "train:\n  lrr: 1\n")
    with pytest.raises(UsageError, match=r"some\.yaml: unknown setting 'train\.lrr'"):
        load_config(ClsConfig, file)


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("train.lr=fast", "train.lr=fast: wanted a number, got 'fast'"),
        ("train.lr=true", "train.lr=true: wanted a number, got True"),
        ("train.lr=[1]", "train.lr=[1]: wanted a number, got [1]"),
        ("train.lr=", "train.lr=: wanted a number, got ''"),
        ("train.batch_size=64.0", "train.batch_size=64.0: wanted a whole number, got 64.0"),
        ("train.batch_size=true", "train.batch_size=true: wanted a whole number, got True"),
        ("data.workers=false", "data.workers=false: wanted a whole number, got False"),
        ("train.channels_last=1", "train.channels_last=1: wanted true or false, got 1"),
        ("train.schedule=3", "train.schedule=3: wanted a word, got 3"),
        ("train.lr_drop_epochs=30", "train.lr_drop_epochs=30: wanted a list, got 30"),
        ("train.lr_drop_epochs=[a]", "train.lr_drop_epochs=[a]: train.lr_drop_epochs[0]: wanted a number, got 'a'"),
        ("train.sizes=[0, 64]", "train.sizes=[0, 64]: train.sizes[0]: wanted a list, got 0"),
        ("train.sizes=[[0, 64, 1]]", "train.sizes=[[0, 64, 1]]: train.sizes[0]: wanted 2 values, got [0, 64, 1]"),
        ("train.sizes=[[0, 6.5]]", "train.sizes=[[0, 6.5]]: train.sizes[0][1]: wanted a whole number, got 6.5"),
        ("train=3", "train=3: wanted settings, got 3"),
        ("train.lr.x=3", "train.lr.x=3: train.lr: wanted a number, got {'x': 3}"),
        ("train.lr", "'train.lr' is not of the form section.key=value"),
        ("=3", "'=3' is not of the form section.key=value"),
        ("train.={a", "'train.={a' is not of the form"),
        ("train.lr={a", "'train.lr={a': the value is not YAML"),
    ],
)
def test_a_wrong_type_is_told_with_what_was_wanted(word, line):
    assert line in refusal(word)


def test_a_word_cannot_go_below_what_is_no_section(tmp_path):
    with pytest.raises(UsageError, match="'lr' is not a section"):
        load_config(ClsConfig, yaml_file(tmp_path, "train:\n  lr: 1\n"), ["train.lr.x=3"])


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.yaml: no such config"):
        load_config(ClsConfig, tmp_path / "nowhere.yaml")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load_config(ClsConfig, tmp_path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("train: [", "not YAML"),
        ("train:\n\tlr: 1", "not YAML"),
        (b"\xff\xfe\xfa", "not YAML"),
        ("[1]: 2", "not YAML"),
        ("? [1]\n: 2", "not YAML"),
        ("!!python/object/apply:os.getcwd []", "not YAML"),
        ("- train\n", "wanted settings, got ['train']"),
        ("just words", "wanted settings, got 'just words'"),
        ("0", "wanted settings, got 0"),
        ("1: 2", "unknown setting '1'"),
        ("train:\n  lr: 1\n  seed: 2\n  lr: 3\n", "lr is set twice"),
        ("train: {lr: 1}\ntrain: {seed: 1}\n", "train is set twice"),
    ],
)
def test_a_file_that_is_no_config_is_one_line(tmp_path, text, line):
    for words in ([], ["train.lr=1"]):
        with pytest.raises(UsageError) as caught:
            load_config(ClsConfig, yaml_file(tmp_path, text), words)
        assert line in str(caught.value)
        assert "some.yaml" in str(caught.value)
        assert "\n" not in str(caught.value)


BAD = [
    ("data.size=0", "data.size must be 1 or more, got 0"),
    ("data.workers=-1", "data.workers must be 0 or more, got -1"),
    ("data.mean=[1, 2]", "data.mean must be three values, for red, green and blue"),
    ("data.std=[1, 2, 0]", "data.std must be above 0, got 0.0"),
    ("augment.crop=centre", "augment.crop must be one of shorter_side, area, pad, got 'centre'"),
    ("augment.shorter_side=[256]", "augment.shorter_side must be two values above 0, the lower first"),
    ("augment.area=[0.5, 0.4]", "augment.area must be two values above 0, the lower first"),
    ("augment.area=[0.5, 1.1]", "augment.area are shares of the image, up to 1"),
    ("augment.aspect=[0, 1]", "augment.aspect must be two values above 0, the lower first"),
    ("augment.mirror=1.5", "augment.mirror must be from 0 to 1, got 1.5"),
    ("augment.min_visible=-0.1", "augment.min_visible must be from 0 to 1"),
    ("augment.hue=0.6", "augment.hue must be at most 0.5"),
    ("augment.crop_tries=0", "augment.crop_tries must be 1 or more"),
    ("model.backbone.depth=20", "model.backbone.depth must be one of 18, 34, 50, 101, 152, got 20"),
    ("model.backbone.family=mnist", "model.backbone.family must be one of imagenet, cifar, got 'mnist'"),
    ("model.backbone.shortcut=D", "model.backbone.shortcut must be one of A, B, C, none, gated, got 'D'"),
    ("model.backbone.stem=5x5", "model.backbone.stem must be one of 7x7, 3x3, 3x3-pool, got '5x5'"),
    ("train.batch_size=0", "train.batch_size must be 1 or more, got 0"),
    ("train.batch_size=-8", "train.batch_size must be 1 or more, got -8"),
    ("train.epochs=0", "train.epochs must be above 0, got 0.0"),
    ("train.lr=0", "train.lr must be above 0, got 0.0"),
    ("train.lr=-0.1", "train.lr must be above 0, got -0.1"),
    ("train.lr=.nan", "train.lr must be above 0, got nan"),
    ("train.lr=.inf", "train.lr must be above 0, got inf"),
    ("train.weight_decay=.nan", "train.weight_decay must be 0 or more, got nan"),
    ("train.momentum=1", "train.momentum must be from 0 to below 1, got 1.0"),
    ("train.ema=1", "train.ema must be from 0 to below 1"),
    ("train.accumulate=0", "train.accumulate must be 1 or more"),
    ("train.accumulate=3", "train.batch_size 256 does not split into 3 equal parts"),
    ("train.log_every=0", "train.log_every must be 1 or more"),
    ("train.eval_every=0", "train.eval_every must be above 0"),
    ("train.save_every=-1", "train.save_every must be 0 or more"),
    ("train.precision=fp8", "train.precision must be one of fp32, bf16, fp16, got 'fp8'"),
    ("train.warmup_epochs=121", "train.warmup_epochs 121.0 reaches past train.epochs 120.0"),
    ("train.lr_drop_epochs=[60, 30]", "train.lr_drop_epochs must rise, got (60.0, 30.0)"),
    ("train.sizes=[[1, 64]]", "train.sizes must begin at epoch 0, got 1.0"),
    ("train.sizes=[[0, 64], [0, 96]]", "train.sizes must rise, got (0.0, 0.0)"),
    ("train.sizes=[[0, 0]]", "train.sizes must be above 0, got 0"),
    ("test.batch_size=0", "test.batch_size must be 1 or more"),
]
BAD_LOC = [
    ("model.feature=conv3", "model.feature must be one of conv4, conv5, got 'conv3'"),
    ("model.anchor_sizes=[]", "model.anchor_sizes must name one at least"),
    ("model.anchor_ratios=[1, -1]", "model.anchor_ratios must be above 0, got -1.0"),
    ("model.anchors_per_image=0", "model.anchors_per_image must be 1 or more"),
    ("model.negative_iou=0.8", "model.negative_iou 0.8 is above model.positive_iou 0.7"),
    ("model.box_weight=-1", "model.box_weight must be 0 or more"),
    ("model.box_beta=0", "model.box_beta must be above 0"),
    ("test.scales=[]", "test.scales must name one at least"),
    ("test.protocol=10-crop", "test.protocol must be one of 1-crop, dense"),
    ("test.vote_iou=2", "test.vote_iou must be from 0 to 1"),
]


@pytest.mark.parametrize("word", ["stem=3x3", "stride_in=3x3", "width=16", "dilate_conv5=true"])
def test_a_cifar_net_has_no_setting_of_the_imagenet_nets(word):
    line = f"model.backbone.{word.split('=')[0]} is a setting of the family imagenet: leave it out for cifar"
    assert line in refusal("model.backbone.family=cifar", "model.backbone.depth=20", f"model.backbone.{word}")


def test_each_family_has_its_own_depths():
    line = "model.backbone.depth must be one of 20, 32, 44, 56, 110, 1202, got 50"
    assert line in refusal("model.backbone.family=cifar")  # 50 is the other family's default, and 6n + 2
    assert "one of 18, 34, 50, 101, 152, got 110" in refusal("model.backbone.depth=110")


def test_a_plain_net_whose_blocks_start_at_zero_would_never_learn():
    words = ["model.backbone.shortcut=none", "model.backbone.zero_init_residual=true"]
    assert "zero_init_residual would stop all signal in a plain net (shortcut none)" in refusal(*words)


@pytest.mark.parametrize(("word", "line"), BAD)
def test_values_that_cannot_be_meant_are_refused(word, line):
    assert line in refusal(word)


@pytest.mark.parametrize(("word", "line"), BAD_LOC)
def test_values_that_cannot_be_meant_are_refused_for_loc(word, line):
    assert line in refusal(word, kind=LocConfig)


def test_the_default_drops_past_a_shorter_run_are_refused_under_steps_and_unread_under_cosine():
    assert "train.lr_drop_epochs (30.0, 60.0, 90.0) reach past train.epochs 12.0" in refusal("train.epochs=12")
    assert "reach past train.epochs 90.0" in refusal("train.epochs=90")  # a drop that no step would see
    assert load("train.epochs=12", "train.schedule=cosine").train.epochs == 12
    assert load("train.epochs=12", "train.lr_drop_epochs=[]").train.lr_drop_epochs == ()


def test_every_setting_is_of_a_type_that_the_reader_knows():
    """A setting of another type (a set, a union) would load from no file."""

    def values(config):
        for field in fields(config):
            value = getattr(config, field.name)
            yield from values(value) if is_dataclass(value) else [value]

    for kind in (ClsConfig, LocConfig, DetConfig):
        assert {type(v) for v in values(kind())} == {int, float, str, bool, tuple}
