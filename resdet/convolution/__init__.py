"""3x3 convolutions, on the CPU by fewer multiplications than their definition has where that is faster; and 1x1."""

from resdet.convolution.layer import Conv3x3
from resdet.convolution.pointwise import Conv1x1

__all__ = ["Conv1x1", "Conv3x3"]
