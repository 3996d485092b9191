"""The files in `configs/`: what each says of itself is so, and its networks can be built."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from resdet import build
from resdet.build.first_weights import check_architecture
from resdet.config import ClsConfig, DetConfig, LocConfig, RCNNConfig, load_config
from resdet.engine.distributed import Process
from resdet.engine.schedule import LearningRate

CONFIGS = Path(__file__).parents[2] / "configs"
KINDS = {"cls": ClsConfig, "loc": LocConfig, "rcnn": RCNNConfig, "det": DetConfig}
SHIPPED = sorted(CONFIGS.rglob("*.y*ml"))


def test_configs_are_found_in_every_folder():
    assert {file.parent.name for file in SHIPPED} == set(KINDS)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.relative_to(CONFIGS).as_posix())
def test_every_shipped_config_loads_and_sets_something(file):
    kind = KINDS[file.parent.name]
    assert load_config(kind, file) != kind()


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.relative_to(CONFIGS).as_posix())
def test_every_shipped_config_shows_its_command(file):
    header = header_of(file)
    assert (
        f"tools/train_{file.parent.name}.py configs/{file.parent.name}/{file.name}" in header or "make demo" in header
    )


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.relative_to(CONFIGS).as_posix())
def test_every_shipped_config_is_to_be_found_from_the_readme_or_the_demo(file):
    found = "".join((CONFIGS.parent / name).read_text(encoding="utf-8") for name in ("README.md", "Makefile"))
    assert f"{file.parent.name}/{file.name}" in found or f"`{file.name}`" in found


def rows_of_the_paper():
    """Of each row of README's table, its config and the settings that it names."""
    text = (CONFIGS.parent / "README.md").read_text(encoding="utf-8").partition("## The paper's rows\n")[2]
    for line in text.partition("\n## ")[0].splitlines():
        if found := re.match(r"\| (.*) \| `(\w+/\w+\.yaml)` \| (.*) \|$", line):
            words = re.findall(r"`([a-z_.]+=[^`]*)`", found[3])
            yield pytest.param(found[2], [word.replace('"', "") for word in words], id=found[1])


@pytest.mark.parametrize(("config", "words"), list(rows_of_the_paper()))
def test_a_row_of_the_paper_is_trained_with_the_words_that_the_readme_names(config, words):
    kind = KINDS[config.partition("/")[0]]
    assert all(load_config(kind, CONFIGS / config, [word]) != load_config(kind, CONFIGS / config) for word in words)


def test_all_tables_of_the_paper_that_we_can_train_have_rows():
    tables = " ".join(row.id for row in rows_of_the_paper())
    assert {int(number) for number in re.findall(r"\b\d+\b", tables) if int(number) < 15} == set(range(2, 15))


def header_of(file):
    return "".join(line for line in file.read_text().splitlines(keepends=True) if line.startswith("#"))


def test_configs_go_on_from_the_network_of_the_config_that_their_command_names():
    made = {}  # by the folder of the run
    for file in SHIPPED:
        out = re.search(r"--out runs/(\S+)", header_of(file))
        demo = f"demo/{file.parent.name}" if "make demo" in header_of(file) else file.stem
        folder = out[1] if out else demo
        assert folder not in made, f"{file} and {made[folder]} are trained in one folder, runs/{folder}"
        made[folder] = file
    gone_on = 0
    for file in SHIPPED:
        for run in re.findall(r"model\.backbone\.weights=runs/(\S+)/(?:best|finished)\.pt", header_of(file)):
            theirs = load_config(KINDS[made[run].parent.name], made[run])
            ours = load_config(KINDS[file.parent.name], file)
            check_architecture(f"{file.name} from {run}", theirs.model.backbone, ours.model.backbone)
            assert (theirs.data.mean, theirs.data.std) == (ours.data.mean, ours.data.std)
            gone_on += 1
    assert gone_on >= 9


@pytest.mark.parametrize("depth", [20, 110])
def test_cifars_configs_take_the_papers_steps(depth):
    config = load_config(ClsConfig, CONFIGS / "cls" / f"cifar10_r{depth}.yaml")
    steps = build.plan(config.data, config.train, 50_000, Process(0, 1, torch.device("cpu")))
    rate = LearningRate(config.train)
    rate.warming = False
    rates = [rate(step / steps.steps_per_epoch) for step in (0, 31_999, 32_000, 47_999, 48_000, 63_999)]
    assert steps.steps == 64_000
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    assert LearningRate(config.train)(0.0) == (0.1 if depth == 20 else 0.01)


@pytest.mark.parametrize("depth", [20, 110])
def test_cifars_configs_differ_from_imagenets_as_sec_4_2_does(depth):
    """Crops of a frame of 4 pixels, 128 images, no colours; what else there is is Sec. 3.4's, the weight decay too."""
    config, plain = load_config(ClsConfig, CONFIGS / "cls" / f"cifar10_r{depth}.yaml"), ClsConfig()
    assert config.augment == replace(plain.augment, crop="pad", pad=4, pca_lighting=0)
    assert config.data == replace(plain.data, size=32, resize=32)
    assert config.model.backbone == replace(plain.model.backbone, family="cifar", depth=depth)
    train = replace(config.train, epochs=120, lr_drop_epochs=(30, 60, 90), warmup_until_error=0)  # tested above
    assert train == replace(plain.train, batch_size=128)
    assert config.train.warmup_until_error == (80 if depth == 110 else 0)
    assert config.test == replace(plain.test, protocol="1-crop", batch_size=500)


@pytest.mark.parametrize(("task", "precision"), [("cls", "bf16"), ("loc", "bf16"), ("rcnn", "fp32")])
def test_imagenets_configs_are_the_defaults(task, precision):
    """``test_paper_defaults.py`` holds these to the paper."""
    config, plain = load_config(KINDS[task], CONFIGS / task / "imagenet_r50.yaml"), KINDS[task]()
    train = replace(plain.train, precision=precision)
    assert config == replace(plain, data=replace(plain.data, workers=8), train=train)


IMPROVED = {"refine": True, "vote": True, "scales": (200, 400, 600, 800, 1000)}  # App. B, items 1 and 3


@pytest.mark.parametrize(
    ("name", "sizes", "context", "test"),
    [
        ("voc_r101", (128, 256, 512), False, {}),
        ("coco_r101", (64, 128, 256, 512), False, {}),
        ("ilsvrc_det_r101", (64, 128, 256, 512), True, IMPROVED),
    ],
)
def test_detectors_configs_have_the_papers_anchors_and_improvements_and_the_defaults_else(name, sizes, context, test):
    config, plain = load_config(DetConfig, CONFIGS / "det" / f"{name}.yaml"), DetConfig()
    backbone = replace(plain.model.backbone, depth=101, stride_in="3x3")
    assert config.model == replace(plain.model, backbone=backbone, anchor_sizes=sizes, context=context)
    assert config.test == replace(plain.test, **test)
    assert (config.data, config.augment) == (replace(plain.data, workers=config.data.workers), plain.augment)
    rest = {"epochs": plain.train.epochs, "lr_drop_epochs": plain.train.lr_drop_epochs, "precision": "fp32"}
    rest |= {"lr": 0.001, "lr_batch": 0, "warmup_epochs": 0}
    assert replace(config.train, **rest) == plain.train
    assert config.train.at_its_batch().lr == (0.008 if name == "voc_r101" else 0.001)


def test_vocs_config_sees_each_image_as_often_as_py_faster_rcnns_joint_training():
    """70,000 steps of one image among VOC2007's 5,011, a tenth of the rate from 50,000 on; 0.001 for an image."""
    train = load_config(DetConfig, CONFIGS / "det" / "voc_r101.yaml").train
    assert train.epochs == round(70_000 / 5_011)
    assert train.lr_drop_epochs == (round(50_000 / 5_011),)
    assert train.lr == pytest.approx(0.001 * train.batch_size)


def test_dets_config_drops_its_rate_where_cocos_does():
    """At three quarters of the steps: the paper gives none for DET."""
    train = load_config(DetConfig, CONFIGS / "det" / "ilsvrc_det_r101.yaml").train
    assert (train.epochs, train.lr_drop_epochs) == (16, (12,))


def test_cocos_config_takes_the_papers_steps():
    """240k at 0.001, then 80k at 0.0001, of 8 images (App. A), of train2014's 82,783."""
    config = load_config(DetConfig, CONFIGS / "det" / "coco_r101.yaml")
    assert config.train.batch_size == 8
    steps_per_epoch = 82_783 // 8
    assert round(config.train.epochs * steps_per_epoch) == 320_000
    rate = LearningRate(config.train)
    rates = [rate(step / steps_per_epoch) for step in (0, 239_999, 240_000, 319_999)]
    assert rates == pytest.approx([0.001, 0.001, 0.0001, 0.0001])
