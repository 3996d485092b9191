"""By what is known whether a tensor was written to: its version, and on a CPU some of its numbers.

Steps of torch's fused optimizers (``fused=True``; torch 2.11 and 2.14, on a CPU) write to the weights and leave the
versions as they are: what is held of a weight in another form would then be of an earlier one.  So a step of any
optimizer with a fused group raises the versions of that group, whatever way its gradients came.

Nor does a version tell of what is written through ``.data``, as many a loop of one's own does for its steps or its
averages, or by ``torch.distributed``: those change every number, and so it shows in a few of them.
"""

from __future__ import annotations

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

LOOKED_AT = 64  # numbers of a tensor


def _raise_versions(optimizer: Optimizer, *_: object) -> None:
    for group in optimizer.param_groups:
        if group.get("fused"):
            torch.autograd.graph.increment_version([p for p in group["params"] if not p.is_inference()])


register_optimizer_step_post_hook(_raise_versions)


def state_of(*tensors: torch.Tensor) -> tuple[tuple[object, ...], ...]:
    """What differs where one of them is another tensor or was written to.

    Through ``.data`` it goes unnoticed on a GPU, which would have to be waited for, and where few numbers are changed.
    """
    return tuple((tensor.data_ptr(), tensor._version, _some_numbers(tensor)) for tensor in tensors)


def _some_numbers(tensor: torch.Tensor) -> list[float]:
    """Spread over its memory, in 3 to 6 us."""
    dense = tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last)
    if tensor.device.type != "cpu" or not dense or type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        return []
    step = tensor.numel() // LOOKED_AT | 1  # odd: not the same tap of the same channel each time
    return tensor.detach().as_strided((-(-tensor.numel() // step),), (step,)).tolist()
