"""A localizer beside its classifier alone, and the class-sliced head beside full convolutions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import nn

from resdet.benchmarks.timing import Row, compare
from resdet.build import build_classifier, build_localizer, place
from resdet.config import ClsConfig, LocConfig
from resdet.heads.per_class_rpn import PerClassRPN
from resdet.losses import MEASURED
from resdet.settings import override
from resdet.structures import ImageBatch, Target


def rows(
    device: torch.device,
    batch: int = 32,
    neck: int = LocConfig().model.neck,
    classes: int = 1000,
    anchors: int = 9,
    *,
    images: int = 8,
    size: int = 224,
    settings: Sequence[str] = (),
) -> Iterator[Row]:
    """The head's parts on drawn maps, then whole networks on ``images`` crops of ``size`` with ``settings``."""
    yield from _head(device, batch, neck, classes, anchors)
    yield from _network(device, classes, images, size, settings)


def _network(device: torch.device, classes: int, count: int, size: int, settings: Sequence[str]) -> Iterator[Row]:
    """What boxes cost: a localizer beside a classifier that is its own backbone."""
    torch.manual_seed(0)
    config = override(LocConfig, {}, tuple(settings), "benchmark")
    localizer = place(build_localizer(config, classes), device, channels_last=True)
    classifier = build_classifier(ClsConfig(), classes)
    classifier.backbone = localizer.backbone
    place(classifier, device, channels_last=True)
    images = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)
    box = torch.tensor([[0.2, 0.25, 0.8, 0.7]]) * size
    labels = torch.randint(0, classes, (count,)).tolist()
    targets = tuple(Target(label, box, torch.tensor([label])) for label in labels)
    batch = ImageBatch(images, targets, tuple(range(count))).to(device)
    what = f"R{config.model.backbone.depth}, K {classes}, {count} crops of {size}"

    @torch.inference_mode()
    def locate() -> list[torch.Tensor]:
        maps = localizer.features(batch.images)
        logits = localizer.class_logits(maps)
        localizer.boxes(maps, logits.topk(5).indices)
        return [logits]

    @torch.inference_mode()
    def classify() -> list[torch.Tensor]:
        return [classifier.logits(batch.images)]

    def step(net: nn.Module) -> list[torch.Tensor]:
        net.zero_grad(set_to_none=True)
        losses = {name: loss for name, loss in net(batch).items() if not name.startswith(MEASURED)}
        torch.stack(list(losses.values())).sum().backward()
        return [losses["class"].detach()]

    localizer.eval(), classifier.eval()
    yield compare("loc", f"classes and boxes in one pass ({what})", locate, "classes alone", classify, device=device)
    localizer.train(), classifier.train()
    work = partial(step, localizer), "classes alone", partial(step, classifier)
    yield compare("loc", f"training step, classes and boxes ({what})", *work, device=device, runs=5)


def _head(device: torch.device, batch: int, neck: int, classes: int, anchors: int) -> Iterator[Row]:
    """The class-sliced per-class RPN against its full convolutions, on 7x7 maps: 8 anchors an image, 5 guesses."""
    torch.manual_seed(0)
    rpn = PerClassRPN(1, neck, anchors, classes).to(device)  # from the hidden map on: the neck is the same for both
    hidden = torch.rand(batch, neck, 7, 7, device=device, requires_grad=True)
    index = torch.randint(0, 7 * 7 * anchors, (batch, 8), device=device)
    true = torch.randint(0, classes, (batch,), device=device)
    guessed = torch.randint(0, classes, (batch, 5), device=device)
    images = torch.arange(batch, device=device)[:, None]
    learning = [hidden, *rpn.cls.parameters(), *rpn.reg.parameters()]

    def trained(logits: torch.Tensor, deltas: torch.Tensor) -> list[torch.Tensor]:
        loss = logits.square().mean() + deltas.square().mean()
        return [logits.detach(), deltas.detach(), *torch.autograd.grad(loss, learning)]

    def full_training() -> list[torch.Tensor]:
        logits, deltas = rpn.all_classes(hidden)
        return trained(logits[images, index, true[:, None]], deltas[images, index, true[:, None]])

    @torch.inference_mode()
    def full_test() -> list[torch.Tensor]:
        logits, deltas = rpn.all_classes(hidden)
        return [logits.transpose(1, 2)[images, guessed], deltas.transpose(1, 2)[images, guessed]]

    @torch.inference_mode()
    def sliced_test() -> list[torch.Tensor]:
        return list(rpn.of_classes(hidden, guessed))

    def sliced_training() -> list[torch.Tensor]:
        return trained(*rpn.sampled(hidden, index, true))

    size = f"K {classes}, A {anchors}, 7x7, batch {batch}"
    cases = {"training, forward and backward": (sliced_training, full_training), "testing": (sliced_test, full_test)}
    for name, (ours, theirs) in cases.items():
        yield compare("loc", f"{name} ({size})", ours, "all K classes", theirs, device=device)
