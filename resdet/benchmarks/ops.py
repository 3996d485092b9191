"""The operations on regions beside torchvision's, each side in the memory format that suits it: ours channels_last.

torchvision has no bfloat16 here; its way there and back through float32 is what its autocast does.  On a GPU each
operation is also held against a copy of as many bytes as it must move at least: memory's own speed is the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
import torchvision
from torch import Tensor

from resdet import ops
from resdet.benchmarks.timing import Row, compare

Op = Callable[[Tensor], Tensor]


class Maps(NamedTuple):
    """One image's map, and the regions read from it."""

    name: str
    channels: int
    height: int
    width: int
    stride: int
    regions: int
    size: int
    dtype: torch.dtype = torch.float32

    def __str__(self) -> str:
        shape = f"{self.regions} x {self.size}x{self.size}x{self.channels} of {self.height}x{self.width}"
        return f"{self.name}, {shape}, {str(self.dtype).removeprefix('torch.')}"


class Crowd(NamedTuple):
    """Boxes around objects and elsewhere, in groups of like size."""

    groups: int
    boxes: int  # a group
    iou: float
    most: int | None = None


MAPS = (
    Maps("C4 at test", 1024, 38, 50, 16, 300, 14),
    Maps("C4 at test", 1024, 38, 50, 16, 300, 14, torch.bfloat16),
    Maps("C4 in training", 1024, 38, 50, 16, 128, 14),
    Maps("C4 of ResNet-18", 256, 20, 27, 16, 64, 14),
    Maps("FPN, finest level", 256, 152, 200, 4, 100, 7),
)
# relative and absolute: RoI align of a map of ordinary numbers is 1.8e-5 to 6.5e-5 from its value in float64 there,
# ours as torchvision's, since where a sample lies is rounded; on the CPU the two round alike
TOLERANCE_ON_CUDA = {torch.float32: (1.3e-6, 1e-4), torch.bfloat16: (1.6e-2, 1e-4)}
MAPS_ON_CUDA = (*MAPS, MAPS[0]._replace(regions=1000), MAPS[1]._replace(regions=1000))
CROWDS = (
    Crowd(1, 6000, 0.7, most=300),
    Crowd(2, 12000, 0.7, most=2000),
    Crowd(1, 6000, 0.7),
    Crowd(5, 1000, 0.7),
    Crowd(20, 300, 0.3),
    Crowd(200, 300, 0.3),
    Crowd(200, 10, 0.3),
)
CROWDS_ON_CUDA = (*CROWDS, Crowd(8 * 80, 1000, 0.5))  # the classes of a batch of images


def rows(
    device: torch.device, maps: Sequence[Maps] | None = None, crowds: Sequence[Crowd] | None = None
) -> Iterator[Row]:
    """RoI align and RoI pool forward and with backward, then NMS by groups."""
    on_cuda = device.type == "cuda"
    maps = maps or (MAPS_ON_CUDA if on_cuda else MAPS)
    crowds = crowds or (CROWDS_ON_CUDA if on_cuda else CROWDS)
    for case in maps:
        yield from _regions(case, device)
    for crowd in crowds:
        yield _nms(crowd, device)


def _regions(case: Maps, device: torch.device) -> Iterator[Row]:
    torch.manual_seed(0)
    features = torch.randn(1, case.channels, case.height, case.width, device=device, dtype=case.dtype)
    rois = torch.cat((torch.zeros(case.regions, 1), _boxes(case), ), 1).to(device)  # fmt: skip
    # so small that the gradient, a sum over many regions, is of order one
    slope = torch.randn(case.regions, case.channels, case.size, case.size, device=device).to(case.dtype) / 16
    inner = [tensor.contiguous(memory_format=torch.channels_last) for tensor in (features, slope)]
    near = TOLERANCE_ON_CUDA[case.dtype] if device.type == "cuda" else None
    for op in ("roi_align", "roi_pool"):
        ours, theirs = _two_ways(op, case, rois)
        for what, way, passes in (("forward", _forward, 1), ("forward and backward", _both, 2)):
            name, work = f"{op} {what} ({case})", partial(way, ours, *inner)
            peer = partial(way, theirs, features, slope)
            yield compare("ops", name, work, "torchvision", peer, device=device, runs=5, tolerance=near)
            if device.type == "cuda":  # each pass reads one of map and bins, and writes the other
                copy = _a_copy(passes * (features.nbytes + slope.nbytes), device)
                yield compare("ops", name, work, *copy, device=device, runs=5, agree=True)


def _two_ways(op: str, case: Maps, rois: Tensor) -> tuple[Op, Op]:
    """Ours and torchvision's, of the features alone."""
    ours = partial(getattr(ops, op), rois=rois, size=case.size, stride=case.stride)
    extra = {"sampling_ratio": -1, "aligned": True} if op == "roi_align" else {}
    peer = getattr(torchvision.ops, op)
    theirs = partial(peer, boxes=rois, output_size=case.size, spatial_scale=1 / case.stride, **extra)
    return ours, theirs if case.dtype == torch.float32 else partial(_through_float32, theirs)


def _a_copy(moved: int, device: torch.device) -> tuple[str, Callable[[], list[Tensor]]]:
    """Reading half of the bytes and writing the other half: its name, and the work."""
    source = torch.empty(moved // 2, dtype=torch.uint8, device=device).random_()
    target = torch.empty_like(source)
    return f"a copy that moves {moved / 2**20:.0f} MiB", lambda: [target.copy_(source)]


def _through_float32(op: Op, features: Tensor) -> Tensor:
    return op(features.float()).to(features.dtype)


def _forward(op: Op, features: Tensor, slope: Tensor) -> list[Tensor]:
    with torch.inference_mode():
        return [op(features)]


def _both(op: Op, features: Tensor, slope: Tensor) -> list[Tensor]:
    features = features.detach().requires_grad_()
    pooled = op(features)
    pooled.backward(slope)
    return [pooled.detach(), features.grad]  # type: ignore[list-item]


def _boxes(case: Maps) -> Tensor:
    """As proposals are: sides of 2 to 25 cells, more small ones than large, within the image."""
    limit = torch.tensor([case.width, case.height]) * case.stride
    sides = torch.exp(torch.rand(case.regions, 2) * 2.5 + 0.7) * case.stride
    centre = torch.rand(case.regions, 2) * limit
    return torch.cat(((centre - sides / 2).clamp(min=0), torch.minimum(centre + sides / 2, limit)), 1)


def _nms(crowd: Crowd, device: torch.device) -> Row:
    torch.manual_seed(0)
    count = crowd.groups * crowd.boxes
    objects = torch.rand(30, 2) * torch.tensor([1000.0, 600])
    near = objects[torch.randint(0, 30, (count,))] + torch.randn(count, 2) * 20
    centre = torch.where(torch.rand(count, 1) < 0.5, near, torch.rand(count, 2) * torch.tensor([1000.0, 600]))
    sides = torch.exp(torch.rand(count, 2) * 2.5 + 3.5)
    boxes = torch.cat((centre - sides / 2, centre + sides / 2), 1).to(device)
    scores = (torch.randperm(count) / count).to(device)  # no two alike: torchvision's order of those is any
    groups = (torch.arange(count) % crowd.groups).to(device)

    def theirs() -> list[Tensor]:
        kept = torchvision.ops.batched_nms(boxes, scores, groups, crowd.iou)
        if crowd.most is None:
            return [kept]
        place = (groups[kept][:, None] == torch.arange(crowd.groups, device=device)).cumsum(0)  # (n, groups)
        return [kept[place.gather(1, groups[kept][:, None])[:, 0] <= crowd.most]]

    few = "" if crowd.most is None else f", the best {crowd.most} kept"
    name = f"batched_nms ({crowd.groups} x {crowd.boxes} boxes, IoU {crowd.iou}{few})"
    ours = partial(ops.batched_nms, boxes, scores, groups, crowd.iou, crowd.most)
    return compare("ops", name, lambda: [ours()], "torchvision", theirs, device=device, runs=5)
