"""What type torch makes tensors of by default is not the operators' concern."""

import pytest
import torch

from resdet.ops import roi_align


@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("sampling", [0, 2])
def test_roi_align_is_the_same_whatever_the_default_type(default, sampling):
    features = torch.randn(1, 2, 12, 300, generator=torch.Generator().manual_seed(0))
    rois = torch.tensor([[0.0, 3.0, 5.0, 290.0, 11.0]])
    wanted = roi_align(features, rois, 1, 1.0, sampling)
    torch.set_default_dtype(default)
    try:
        found = roi_align(features, rois, 1, 1.0, sampling)
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
