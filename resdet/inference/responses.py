"""Standard deviations of the responses of 3x3 layers: the paper's analysis of its nets (Sec. 4.2, Fig. 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from resdet.errors import InputError
from resdet.models.classifier import Classifier
from resdet.precision import autocast
from resdet.structures import ImageBatch


@torch.no_grad()
def layer_responses(
    model: Classifier, batches: Iterable[ImageBatch], device: torch.device, precision: str = "fp32"
) -> dict[str, float]:
    """Standard deviation of what each 3x3 convolution gives, after batch norm and before the ReLU or the addition.

    Over all images, positions and channels of a layer together, in evaluation mode.

    Args:
        model: on ``device``; left in evaluation mode.

    Returns:
        The convolution's name in the backbone -> its deviation, from the image to the classifier.

    Raises:
        InputError: there are no images.
    """
    spreads = {name: (_Spread(), norm) for name, norm in normed_3x3(model.backbone).items()}
    handles = [norm.register_forward_hook(_adder(spread)) for spread, norm in spreads.values()]
    model.eval()
    images = 0
    try:
        for batch in batches:
            with autocast(device, precision):
                model.logits(batch.to(device).images)
            images += len(batch)
    finally:
        for handle in handles:
            handle.remove()
    if not images:
        raise InputError("no images to take the layers' responses from")
    return {name: spread.deviation() for name, (spread, _) in spreads.items()}


def normed_3x3(net: nn.Module) -> dict[str, nn.Module]:
    """What gives each 3x3 convolution's response, by the convolution's name, in the order of the net.

    That is the batch norm behind it, or the identity that :func:`resdet.backbones.folding.fold_batch_norm` left there.
    """
    found = {}
    for path, parent in net.named_modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.Conv2d) and child.kernel_size == (3, 3):
                norm = getattr(parent, name.replace("conv", "bn"))  # torchvision's names: conv2 has bn2
                found[f"{path}.{name}" if path else name] = norm
    return found


class _Spread:
    """Count, sum and sum of squares in float64: responses are of the order of 1 around 0, where that loses nothing."""

    def __init__(self) -> None:
        self.count = 0
        self.sums = torch.zeros(2, dtype=torch.float64)

    def add(self, response: Tensor) -> None:
        values = response.double()
        self.count += values.numel()
        self.sums += torch.stack((values.sum(), values.square().sum())).cpu()

    def deviation(self) -> float:
        mean, squares = (self.sums / self.count).tolist()
        return max(squares - mean * mean, 0.0) ** 0.5


def _adder(spread: _Spread) -> Callable[[nn.Module, object, Tensor], None]:
    def add(layer: nn.Module, inputs: object, response: Tensor) -> None:
        spread.add(response)  # now: the ReLU that follows works in place

    return add
