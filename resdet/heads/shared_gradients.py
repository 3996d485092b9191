"""Weights of K classes that learn as a part shared by all of them plus a part for each.

With SGD this is the same as adding, to each class's gradient, the sum over all classes: ``W_c = S + D_c`` moves by
``g_c + sum(g)``, weight decay and momentum being linear.  So the parameters stay the plain ones.  (Clipping by norm
is not linear: it sees the norm of these sums.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def shared_over_classes(weight: Tensor, classes: int, groups: int = 1) -> Tensor:
    """The weight, but the gradient of every row of a class that reaches it holds the sum over all classes.

    It is asked for in each forward pass, not set once as a hook of the parameter: those are lost where the parameter
    becomes another tensor, as in ``load_state_dict(assign=True)``, ``to_empty`` or a copy.

    Args:
        weight: its rows are ``groups`` times K times however many numbers a class has.
    """
    return _Shared.apply(weight, classes, groups) if torch.is_grad_enabled() else weight


class _Shared(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(weight: Tensor, classes: int, groups: int) -> Tensor:
        return weight.view_as(weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int, int], output: Tensor) -> None:
        _, ctx.classes, ctx.groups = inputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        by_class = gradient.reshape(ctx.groups, ctx.classes, -1)
        return (by_class + by_class.sum(1, keepdim=True)).reshape(gradient.shape), None, None
