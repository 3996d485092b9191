"""Gradients of two processes, and of parts of a step, are those of one with the whole batch: to a millionth."""

import math
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from resdet.build import build_classifier, build_detector, build_localizer, build_rcnn
from resdet.config import ClsConfig, DetConfig, LocConfig, RCNNConfig, TrainConfig
from resdet.engine import distributed
from resdet.engine.distributed import Process, start
from resdet.engine.train import set_training
from resdet.settings import override
from resdet.structures import ImageBatch, Target

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from several import together
from tiny_training import take_steps

HOW = TrainConfig(batch_size=4, lr=1.0, momentum=0.0, weight_decay=0.0, batch_norm="frozen", channels_last=False)
NO_BOXES = (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
ALONE = Process(0, 1, torch.device("cpu"))
SMALL = ("model.backbone.depth=18", "model.backbone.width=8", "data.size=64")
RPN = (*SMALL, "model.neck=8", "model.anchor_sizes=[16, 32]", "model.anchors_per_image=100000")
PCR = (*SMALL, "model.method=pcr", "model.neck=8")
KINDS = {
    "cls": (ClsConfig, build_classifier, SMALL),
    "loc": (LocConfig, build_localizer, RPN),
    "loc, no classes": (LocConfig, build_localizer, (*RPN, "model.class_weight=0")),
    "loc, no conv5": (LocConfig, build_localizer, (*RPN, "model.class_weight=0", "model.feature=conv4")),
    "pcr": (LocConfig, build_localizer, PCR),
    "pcr, no classes": (LocConfig, build_localizer, (*PCR, "model.class_weight=0")),
    "rcnn": (RCNNConfig, build_rcnn, (*SMALL[:2], "model.size=32", "model.pad=2", "model.crops_per_image=100")),
    "det": (DetConfig, build_detector, (*SMALL[:2], "model.rpn_channels=16", "model.anchor_sizes=[24, 40]",
            "model.pool_size=4", "model.min_side=4", "model.inside_anchors=false", "model.proposals=20",
            "model.anchors_per_image=200", "model.anchor_positive=1", "model.regions_per_image=32",
            "model.region_positive=1")),
}  # fmt: skip  # samples are as large as what they are drawn from: two processes draw other numbers than one


DET = KINDS["det"][2]
PYRAMID = ("model.neck=fpn", "model.fpn.channels=16", "model.fpn.box_channels=32", "model.anchor_sizes=[8,16,32,48,64]")
ALSO = {  # of which other layers learn
    "det, pyramid": (DetConfig, build_detector, (*DET, *PYRAMID)),
    "det, context": (DetConfig, build_detector, (*DET, "model.context=true")),
    "det, its RPN": (DetConfig, build_detector, DET),
    "det, its regions": (DetConfig, build_detector, DET),
}
ALTERNATING = {"det, its RPN": "rpn", "det, its regions": "regions"}


def images(count):
    """One without an object, where boxes are learnt in whole images; others with one or two."""
    draw = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (count, 3, 64, 64), generator=draw, dtype=torch.uint8)
    targets = []
    for i in range(count):
        corner = torch.randint(0, 30, (1 + i % 2, 2), generator=draw).float()
        boxes = torch.cat((corner, corner + 24), 1)
        targets.append(Target(i % 3, boxes, torch.full((len(boxes),), i % 3)))
    return ImageBatch(pixels, tuple(targets), tuple(range(count)))


def some_boxes(count):
    """Proposals: some of them near objects."""
    corner = torch.rand(count, 2, generator=torch.Generator().manual_seed(count)) * 30
    return torch.cat((corner, corner + 24), 1)


def share(batch, rank, processes):
    columns = (getattr(batch, field.name) for field in fields(ImageBatch))
    return ImageBatch(*(column[rank::processes] for column in columns))


def step(task, me, count, how=HOW, steps=1):
    """The weights' change in one step: their gradients, at a learning rate of 1; or in several of the same images."""
    kind, build, words = (KINDS | ALSO)[task]
    torch.manual_seed(0)
    model = build(override(kind, {}, words, "test"), 3)
    if task in ALTERNATING:
        model.learn_only(ALTERNATING[task])
    batch = images(count)
    if task == "rcnn":
        batch = replace(batch, proposals=tuple(some_boxes(10 + i) for i in range(count)))
    if task[:3] in ("loc", "pcr", "det"):  # one image without an object: the shares count unequally many
        batch = replace(batch, targets=(Target(-(task == "det"), *NO_BOXES), *batch.targets[1:]))
    set_training(model, how)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    shares = [share(batch, me.rank, me.processes)] * steps
    take_steps(distributed.wrap(model, me), shares, how, rate=lambda epoch: 1.0, images_per_step=count)
    return {name: before[name] - value.detach() for name, value in model.named_parameters()}


def check_same(found, expected):
    """To a millionth of the largest of them all."""
    largest = max(gradient.abs().max().item() for gradient in expected.values())
    assert math.isfinite(largest) and largest > 0.05
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert (found[name] - gradient).abs().max() <= 1e-6 * largest, name


@pytest.mark.parametrize(
    ("task", "count"),
    [("cls", 4), ("cls", 3), ("loc", 4), ("loc", 3), ("pcr", 3), ("rcnn", 4), ("rcnn", 3), ("det", 4)],
)
def test_two_processes_give_the_gradients_of_one_with_the_doubled_batch(tmp_path, task, count):
    """Of three images, one process has two and the other one."""

    def work(rank):
        torch.save(step(task, start("cpu"), count), tmp_path / f"{rank}.pt")

    together(2, work)
    expected = step(task, ALONE, count)
    for rank in range(2):
        check_same(torch.load(tmp_path / f"{rank}.pt"), expected)


@pytest.mark.parametrize("task", KINDS)
def test_parts_of_a_step_give_the_gradients_of_one(task):
    """Of three images and of four, and the first has no object: parts count unequally many, one of them nothing."""
    for count, parts in ((4, 2), (4, 4), (3, 2)):
        expected = step(task, ALONE, count)
        check_same(step(task, ALONE, count, replace(HOW, accumulate=parts)), expected)


@pytest.mark.parametrize("task", ["cls", "loc", "pcr", "rcnn", "det"])
def test_parts_of_two_processes_give_the_gradients_of_one_with_the_whole_batch(tmp_path, task):
    """Of five images, one process has two parts of one and two, the other two of one."""

    def work(rank):
        torch.save(step(task, start("cpu"), 5, replace(HOW, accumulate=2)), tmp_path / f"{rank}.pt")

    together(2, work)
    expected = step(task, ALONE, 5)
    for rank in range(2):
        check_same(torch.load(tmp_path / f"{rank}.pt"), expected)


def test_processes_go_on_together_and_nobody_is_told_of_layers_that_do_not_learn(tmp_path, capfd):
    """A second step begins where all gradients of the first have come: a layer without one would be waited for."""

    def work(rank):
        me = start("cpu")
        for task in KINDS | ALSO:
            torch.save(step(task, me, 4, steps=2), tmp_path / f"{rank} {task}.pt")

    together(2, work)
    for task in KINDS | ALSO:
        one, other = (torch.load(tmp_path / f"{rank} {task}.pt") for rank in range(2))
        assert all(torch.equal(one[name], change) for name, change in other.items())
    assert "Warning" not in capfd.readouterr().err


def test_unequal_shares_are_computed_in_equally_many_parts(tmp_path):
    """Two images and one, in two parts where there are as many: else one process would wait for the other for good."""
    how = replace(HOW, accumulate=2)
    together(2, lambda rank: torch.save(step("loc", start("cpu"), 3, how), tmp_path / f"{rank}.pt"))
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert all(torch.equal(one[name], gradient) for name, gradient in other.items())
