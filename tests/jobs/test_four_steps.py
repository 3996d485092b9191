"""Faster R-CNN's four alternating steps (Sec. 3.2): what each begins with, what proposes in it, and what learns."""

from pathlib import Path
from types import SimpleNamespace

import torch
from tiny_detector import TINY

from resdet.config import DetConfig
from resdet.data.records import Classes
from resdet.engine.distributed import Process
from resdet.jobs import detection_training
from resdet.settings import override
from resdet.structures import ImageBatch, Target

NOTHING = Target(-1, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
ONCE_A_REGION = ("backbone.layer4.", "head.")


def part_of(name):
    """``shared``, ``rpn`` or ``region``."""
    return "region" if name.startswith(ONCE_A_REGION) else "rpn" if name.startswith("rpn.") else "shared"


def state_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(first, second, *parts):
    names = [name for name in first if part_of(name) in parts]
    return bool(names) and all(torch.equal(first[name], second[name]) for name in names)


def of(*words):
    """A training of two classes; the second process of two, as the first would copy files at the end."""
    config = override(DetConfig, {}, (*TINY, "model.schedule=alternating", *words), "test")
    data = SimpleNamespace(train=SimpleNamespace(classes=Classes(("ant", "bee"), ("ant", "bee"))))
    return detection_training.Training(config, data, Process(1, 2, torch.device("cpu")), Path("nowhere"), False)


def four_steps(monkeypatch):
    """Of each step: the weights before and after, what learnt, and the weights of what proposed."""
    steps = []

    def train(training, model, out, proposer=None):
        before, learns = state_of(model), {part_of(n) for n, p in model.named_parameters() if p.requires_grad}
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(parameter.requires_grad * (1 + len(steps)))
        proposed = None if proposer is None else state_of(proposer)
        steps.append(SimpleNamespace(before=before, after=state_of(model), learns=learns, proposer=proposed))

    monkeypatch.setattr(detection_training.Training, "train", train)
    detection_training._alternate(of())
    return steps


def test_the_rpn_and_the_detector_both_begin_as_the_pretrained_network_and_the_rpn_proposes(monkeypatch):
    first, second, _, _ = four_steps(monkeypatch)
    assert same(first.before, second.before, "shared", "rpn", "region")
    assert (first.learns, second.learns) == ({"shared", "rpn"}, {"shared", "region"})
    assert first.proposer is None
    assert same(second.proposer, first.after, "shared", "rpn", "region")


def test_the_rpn_goes_on_on_the_detectors_convolutions_and_then_the_detector_on_what_it_proposes(monkeypatch):
    first, second, third, fourth = four_steps(monkeypatch)
    assert same(third.before, second.after, "shared", "region")
    assert same(third.before, first.after, "rpn")
    assert same(fourth.before, third.after, "shared", "rpn", "region")
    assert (third.learns, fourth.learns) == ({"rpn"}, {"region"})
    assert third.proposer is fourth.proposer is None  # each has an RPN of its own by then


def test_a_detector_learns_from_as_many_proposals_as_training_has_and_not_testing():
    training = of("model.pre_nms=30", "model.proposals=20", "model.proposal_nms=1", "model.min_side=0")
    proposer = training.new_detector().eval()
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    batch = ImageBatch(images, (NOTHING, NOTHING), (0, 1), ((64, 64), (64, 64)))
    assert proposer.proposals.kept == 10
    (found,) = training._proposals_of(proposer)([batch])
    assert [len(boxes) for boxes in found.proposals] == [20, 20]
    assert found.images is batch.images
