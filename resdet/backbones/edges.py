"""Images of several sizes in one batch, each seen as if it were alone.

A convolution pads an image with zeros; in the middle of a padded batch it would read what batch norm and ReLU have
made of the padding instead, and what is seen of an image would depend on its neighbours: at conv4 of a ResNet-18 by a
quarter of its mean, and not at the edges only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (1, 2, 4, 8, 16, 32, 64)


def covered(extent: Tensor, height: int, width: int, stride: int) -> Tensor:
    """``(B, height, width)`` bool: which cells of a map have something of their image in them.

    Args:
        extent: ``(B, 2)`` width and height of each image, pixels.
        stride: pixels a cell.
    """
    x = torch.arange(width, device=extent.device) * stride < extent[:, :1]  # (B, width)
    y = torch.arange(height, device=extent.device) * stride < extent[:, 1:]
    return y[:, :, None] & x[:, None, :]


@contextmanager
def images_end(net: nn.Module, extent: Tensor, height: int, width: int) -> Iterator[None]:
    """Within it, every map of ``net`` is 0 beyond the edges of its images, as the padding of a convolution is.

    The maps are changed where they enter a ReLU or leave a pooling, in place: nothing keeps them for the way back.
    Other threads may use ``net`` meanwhile, for images of their own.

    Args:
        net: made of convolutions and poolings that keep ``ceil(size / stride)`` cells, batch norm and ReLU.
        extent: ``(B, 2)`` width and height of each image, pixels.
        height, width: of the batch that the net is given, pixels.
    """
    strides = {(-(-height // s), -(-width // s)): s for s in reversed(STRIDES)}
    masks: dict[tuple[int, int, torch.dtype], Tensor] = {}
    mine = get_ident()

    def cut(x: Tensor) -> None:
        if not torch.compiler.is_compiling() and get_ident() != mine:  # hooks are the module's, whoever calls it
            return
        h, w = x.shape[-2:]
        place = (h, w, x.dtype)
        if place not in masks:
            masks[place] = covered(extent, h, w, strides[h, w])[:, None].to(x.dtype)
        x.mul_(masks[place])

    handles = []
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            handles.append(module.register_forward_pre_hook(lambda _, inputs: cut(inputs[0])))
        elif isinstance(module, nn.MaxPool2d):  # a window just beyond the edge still reaches over it
            handles.append(module.register_forward_hook(lambda _, inputs, output: cut(output)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def edges_repeated(feature: Tensor, inside: Tensor) -> Tensor:
    """A map ``(B, C, h, w)`` whose cells just beyond each image's right and lower edge repeat those at the edge.

    What RoI align reads between the last cell and the edge of a map is the last cell; so it is then in a batch.

    Args:
        inside: ``(B, h, w)`` from :func:`covered`.
    """
    x, y = inside.any(1)[:, None, None, :], inside.any(2)[:, None, :, None]
    feature = torch.where(x, feature, functional.pad(feature, (1, 0))[..., :-1])
    return torch.where(y, feature, functional.pad(feature, (0, 0, 1, 0))[..., :-1, :])
