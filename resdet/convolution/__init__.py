"""3x3 convolutions, on the CPU by fewer multiplications than their definition has where that is faster."""

from resdet.convolution.layer import Conv3x3

__all__ = ["Conv3x3"]
