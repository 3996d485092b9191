"""Batch norm that is far from doing nothing."""

from torch import nn


def make_lively(net, most=1.5):
    """Scales from 0.5 to ``most``, offsets, means and variances at random; the same where torch's seed is."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, most)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return net
