"""What the host asks of the device: on a GPU, one image at a time, that takes longer than the work itself."""

import warnings
from collections import Counter

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from resdet.backbones.folding import conv_norm
from resdet.backbones.resnet import freeze_batch_norm
from resdet.build import build_detector
from resdet.config import DetConfig
from resdet.ops.nms import cpu as nms_cpu
from resdet.ops.roi_align import cpu as align_cpu
from resdet.settings import override
from resdet.structures import ImageBatch, Target

WIDTH, HEIGHT = 128, 96


class Asked(TorchDispatchMode):
    """Counts the operators that run under it, but for those that only look at memory another way."""

    LOOKS = ("view", "as_strided", "slice", "select", "unsqueeze", "squeeze", "expand", "t", "transpose", "permute")
    LOOKS += ("detach", "alias", "split", "split_with_sizes", "unbind", "empty", "empty_like", "new_empty")

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()
        self.silent = False

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        name = operator.overloadpacket.__name__
        if name not in self.LOOKS and not self.silent:
            self.names[name] += 1
        return operator(*args, **(kwargs or {}))


@pytest.fixture
def asked(monkeypatch):
    """The RoI operators count as nothing: on a CPU they go from region to region, in a kernel they do not."""
    mode = Asked()

    def hushed(work):
        def run(*inputs):
            mode.silent = True
            try:
                return work(*inputs)
            finally:
                mode.silent = False

        return run

    for module, name in ((nms_cpu, "batched_nms"), (align_cpu, "forward"), (align_cpu, "backward")):
        monkeypatch.setattr(module, name, hushed(getattr(module, name)))
    return mode


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    words = ("model.backbone.depth=18", "model.backbone.width=8", "model.rpn_channels=16", "test.score_threshold=0")
    return build_detector(override(DetConfig, {}, words, "a test"), 3)


def images(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, HEIGHT, WIDTH), dtype=torch.uint8)


def counted(asked: Asked, work) -> Counter[str]:
    asked.names.clear()
    with asked:
        work()
    return Counter(asked.names)


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "bf16"])
def test_a_convolution_with_frozen_batch_norm_is_two_operators_there_and_two_back(asked, half):
    conv, norm = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
    freeze_batch_norm(norm)
    x = torch.randn(1, 3, 8, 8, dtype=torch.bfloat16 if half else torch.float32)

    def forward() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            return conv_norm(x, conv, norm)

    y = forward()  # what the norm does to each channel is known from now on
    assert counted(asked, forward) == {"mul": 1, "convolution": 1}
    back = counted(asked, lambda: y.backward(torch.ones_like(y)))
    assert back == {"ones_like": 1, "convolution_backward": 1, "mul": 1}


def test_eight_images_ask_for_no_more_than_two(asked, detector):
    def answer(count: int) -> Counter[str]:
        detector.eval()
        pixels, sizes = images(count), [(WIDTH, HEIGHT)] * count
        with torch.no_grad():
            return counted(asked, lambda: detector.detect(pixels, sizes, score_threshold=0.0))

    assert answer(8) == answer(2)  # (of one, some tensors lie in memory as they are wanted already)


def test_a_training_step_of_eight_images_asks_for_no_more_than_that_of_two(asked, detector):
    boxes = torch.tensor([[10.0, 10.0, 60.0, 60.0], [50.0, 30.0, 120.0, 90.0]])

    def answer(count: int) -> Counter[str]:
        detector.train()
        freeze_batch_norm(detector)
        targets = (Target(-1, boxes, torch.tensor([0, 2])),) * count
        batch = ImageBatch(images(count), targets, tuple(range(count)))
        return counted(asked, lambda: sum(detector(batch).values()).backward())

    answer(2)  # gradients are added to those that are there from now on
    assert answer(8) == answer(2)


@pytest.mark.gpu
def test_detecting_waits_for_the_device_five_times(detector):
    """For what each suppression keeps, how many proposals each image has, the candidates, and whose detections are."""
    detector.cuda().eval()
    pixels, sizes = images(4).cuda(), [(WIDTH, HEIGHT)] * 4
    with torch.inference_mode(), warnings.catch_warnings(record=True) as caught:
        detector.detect(pixels, sizes)
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        detector.detect(pixels, sizes)
        torch.cuda.set_sync_debug_mode("default")
    detector.cpu()
    assert sum("called a synchronizing CUDA operation" in str(warning.message) for warning in caught) <= 5
