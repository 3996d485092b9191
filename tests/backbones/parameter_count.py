"""How large a network is, to be held to the paper's tables."""

from torch import nn


def total_parameters(net: nn.Module) -> int:
    """How many numbers the network learns."""
    return sum(p.numel() for p in net.parameters())
