"""The parts of localization."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from resdet.heads.per_class_rpn import PerClassRPN
from resdet.timing import Row, compare


def rows(
    device: torch.device, batch: int = 32, neck: int = 512, classes: int = 1000, anchors: int = 9
) -> Iterator[Row]:
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
