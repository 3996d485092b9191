"""Weights of K classes that learn as a part shared by all of them plus a part for each.

With SGD this is the same as adding, to each class's gradient, the sum over all classes: ``W_c = S + D_c`` moves by
``g_c + sum(g)``, weight decay and momentum being linear.  So the parameters stay the plain ones.  (Clipping by norm
is not linear: it sees the norm of these sums.)
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor


def share_over_classes(parameters: Iterable[Tensor], classes: int, groups: int = 1) -> None:
    """From here on the gradient of every row of a class holds the sum over all classes.

    torch leaves such hooks behind when a module is copied or unpickled: set them again in ``__setstate__``.

    Args:
        parameters: their rows are ``groups`` times K times however many numbers a class has.
    """

    def with_shared(gradient: Tensor) -> Tensor:
        by_class = gradient.reshape(groups, classes, -1)
        return (by_class + by_class.sum(1, keepdim=True)).reshape(gradient.shape)

    for parameter in parameters:
        parameter.register_hook(with_shared)
