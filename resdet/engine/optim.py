"""The optimizer, and the averaged weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from resdet.config import TrainConfig


def sgd(model: nn.Module, how: TrainConfig) -> torch.optim.SGD:
    """SGD with momentum (``v <- m v + g; w <- w - lr v``) on everything that learns.

    Caffe, which the paper's nets were trained with, has the rate within: ``v <- m v + lr g; w <- w - v``.  While the
    rate stays they are the same; where it drops, what has gathered in ``v`` goes on at the new one here, at the old
    one there.

    With ``decay_norm_and_bias`` off, vectors (batch norm's affine and biases) have no weight decay.
    """
    learning = [p for p in model.parameters() if p.requires_grad]
    vectors = [p for p in learning if p.ndim <= 1]
    matrices = [p for p in learning if p.ndim > 1]
    groups = [
        {"params": matrices, "weight_decay": how.weight_decay},
        {"params": vectors, "weight_decay": how.weight_decay if how.decay_norm_and_bias else 0.0},
    ]
    return torch.optim.SGD([g for g in groups if g["params"]], lr=how.lr, momentum=how.momentum)


class AveragedWeights:
    """An exponential moving average of a model's state: ``average <- d average + (1 - d) now``.

    Early on ``d`` is held down to ``(1 + n) / (10 + n)`` after ``n`` updates, or the start would weigh on the
    average for thousands of steps.  Integer state (batch norm's counters) is copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the model's present state into the average."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        now = model.state_dict()
        floating = [name for name, value in now.items() if value.is_floating_point()]
        # all in a few launches: one for each of 120 tensors kept a GPU waiting
        torch._foreach_lerp_([self.state[name] for name in floating], [now[name] for name in floating], 1 - decay)
        for name in now.keys() - floating:
            self.state[name].copy_(now[name])

    def state_dict(self) -> dict[str, Tensor | int | dict[str, Tensor]]:
        """All that ``load_state_dict`` needs."""
        return {"updates": self.updates, "state": self.state}

    def load_state_dict(self, saved: dict) -> None:
        """Continue from a saved average, all of it: of another network's weights none would fit, or some by chance.

        Raises:
            ValueError: it is of other weights.
        """
        ours, theirs = ({name: v.shape for name, v in state.items()} for state in (self.state, saved["state"]))
        for name in ours.keys() | theirs.keys():
            if ours.get(name) != theirs.get(name):
                raise ValueError(f"the average of {name!r} is of another network")
        self.updates = int(saved["updates"])
        for name, value in saved["state"].items():
            self.state[name].copy_(value)


def load_optimizer(optimizer: torch.optim.Optimizer, saved: dict) -> None:
    """Continue from a saved optimizer; torch would find out at its first step that a momentum is of another weight.

    Raises:
        ValueError: one is.
    """
    optimizer.load_state_dict(saved)
    for weight, state in optimizer.state.items():
        momentum = state.get("momentum_buffer")
        if momentum is not None and momentum.shape != weight.shape:
            raise ValueError(f"momentum of {tuple(momentum.shape)} for weights of {tuple(weight.shape)}")
