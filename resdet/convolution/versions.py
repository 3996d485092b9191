"""A tensor's version, by which is known whether it was written to, made to tell of torch's fused optimizers too.

Their steps (``fused=True``; torch 2.11 and 2.14, on a CPU) write to the weights and leave the versions as they are:
what is held of a weight in another form would then be of an earlier one.  So a step of any optimizer with a fused group
raises the versions of that group, whatever way its gradients came.
"""

from __future__ import annotations

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook


def _raise_versions(optimizer: Optimizer, *_: object) -> None:
    for group in optimizer.param_groups:
        if group.get("fused"):
            torch.autograd.graph.increment_version([p for p in group["params"] if not p.is_inference()])


register_optimizer_step_post_hook(_raise_versions)


def state_of(*tensors: torch.Tensor) -> tuple[tuple[int, int], ...]:
    """What differs where one of them is another tensor or was written to, but through ``.data``."""
    return tuple((tensor.data_ptr(), tensor._version) for tensor in tensors)
