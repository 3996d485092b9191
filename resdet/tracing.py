"""Whether torch records operations in place of running them, or runs them on what stands for several tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad


def is_traced(tensor: Tensor) -> bool:
    """Whether ``torch.compile``, ``torch.export`` or ``torch.jit.trace`` records what is done with a tensor.

    Only then our kernels have to be called as registered operators.  Otherwise that costs host time, for which a GPU
    waits: RoI align and its gradient on empty inputs took 0.99 ms through operators and 0.38 ms without (a busy core of
    an EPYC).
    """
    return torch.compiler.is_compiling() or torch.jit.is_tracing() or type(tensor) not in (Tensor, nn.Parameter)


def is_transformed() -> bool:
    """Whether ``torch.func`` (``grad``, ``vmap``, ``jvp``) or forward-mode differentiation is at work.

    Tensors have no memory of their own then to be known by, and what goes by an autograd function of ours has no rule
    for it: torch's own operations have.
    """
    return torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0
