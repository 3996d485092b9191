"""The files in `configs/`: what each says of itself is so, and its networks can be built."""

import re
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


def test_cocos_config_takes_the_papers_steps():
    """240k at 0.001, then 80k at 0.0001, of 8 images (App. A), of train2014's 82,783."""
    config = load_config(DetConfig, CONFIGS / "det" / "coco_r101.yaml")
    assert config.train.batch_size == 8
    steps_per_epoch = 82_783 // 8
    assert round(config.train.epochs * steps_per_epoch) == 320_000
    rate = LearningRate(config.train)
    rates = [rate(step / steps_per_epoch) for step in (0, 239_999, 240_000, 319_999)]
    assert rates == pytest.approx([0.001, 0.001, 0.0001, 0.0001])
