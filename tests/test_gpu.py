"""The main paths on CUDA: the same answers as on the CPU, and training in half precision."""

import copy

import numpy as np
import pytest
import torch

from resdet.backbones.resnet import ResNet
from resdet.config import TrainConfig
from resdet.data.viewed_images import ViewedImage
from resdet.data.views import cut
from resdet.engine.optim import sgd
from resdet.engine.schedule import LearningRate
from resdet.engine.train import train
from resdet.heads.per_class_rpn import PerClassRPN
from resdet.inference.loc import LocProtocol
from resdet.inference.locate import Locators, Member, locate_together
from resdet.models.localizer import Localizer
from resdet.structures import ImageBatch, Target

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")


@pytest.fixture
def localizer() -> Localizer:
    torch.manual_seed(0)
    backbone = ResNet(18, 5, stem="3x3-pool")
    rpn = PerClassRPN(512, 32, 2, 5, share_classes=True)
    options = {"feature": "conv5", "anchor_sizes": [24.0, 48.0], "anchor_ratios": [1.0]}
    return Localizer(backbone, rpn, mean=[120.0] * 3, std=[60.0] * 3, **options)  # type: ignore[arg-type]


def batch() -> ImageBatch:
    images = torch.randint(0, 256, (8, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    boxes = torch.tensor([[8.0, 8, 40, 48]])
    targets = [Target(i % 5, boxes + i, torch.tensor([i % 5])) for i in range(7)]
    empty = Target(0, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    return ImageBatch(images, (*targets, empty), tuple(range(8)))


def test_the_sliced_head_equals_the_full_convolution_on_cuda() -> None:
    torch.manual_seed(0)
    rpn = PerClassRPN(8, 16, 3, 7).to(CUDA)
    hidden = torch.rand(4, 16, 5, 5, device=CUDA)
    classes = torch.randint(0, 7, (4, 2), device=CUDA)
    logits, deltas = rpn.all_classes(hidden)
    sliced_logits, sliced_deltas = rpn.of_classes(hidden, classes)
    images = torch.arange(4, device=CUDA)[:, None]
    torch.testing.assert_close(sliced_logits, logits.transpose(1, 2)[images, classes], rtol=1e-3, atol=1e-4)  # TF32
    torch.testing.assert_close(sliced_deltas, deltas.transpose(1, 2)[images, classes], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_training_on_cuda_lowers_the_loss(localizer: Localizer, precision: str) -> None:
    how = TrainConfig(epochs=30, batch_size=8, lr=0.02, schedule="cosine", precision=precision)
    model = localizer.to(CUDA, memory_format=torch.channels_last)  # type: ignore[call-overload]
    losses: list[float] = []
    train(
        model,
        [batch()] * 30,
        sgd(model, how),
        torch.amp.GradScaler("cuda", enabled=precision == "fp16"),
        how,
        device=CUDA,
        start=0,
        steps_per_epoch=1,
        rate=LearningRate(how),
        average=None,
        after_step=lambda step, values: losses.append(sum(values.values())),
    )
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_cuda_answers_as_the_cpu_does(localizer: Localizer) -> None:
    protocol = LocProtocol("dense", size=64, resize=64, scales=(64, 96), mirror=True, vote_iou=0.5)
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    views = tuple(protocol.views(80, 60))
    images = [ViewedImage(0, 80, 60, views, tuple(cut(pixels, v) for v in views))]
    on_the_cpu = Locators((Member(copy.deepcopy(localizer), protocol),))
    [here] = locate_together(on_the_cpu, [images], torch.device("cpu"))
    [there] = locate_together(Locators((Member(localizer.to(CUDA), protocol),)), [images], CUDA)
    assert here.labels.tolist() == there.labels.tolist()
    torch.testing.assert_close(here.boxes, there.boxes, rtol=0, atol=0.5)  # TF32 convolutions
