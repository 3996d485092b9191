"""What boxes cost beside classes, counted in multiplications: a clock would depend on the machine."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from resdet.build import build_classifier, build_localizer
from resdet.config import ClsConfig, LocConfig
from resdet.structures import ImageBatch, Target

CLASSES, CROP = 1000, 224


@pytest.fixture(scope="module")
def networks():
    localizer = build_localizer(LocConfig(), CLASSES)
    classifier = build_classifier(ClsConfig(), CLASSES)
    classifier.backbone = localizer.backbone
    return localizer, classifier


@pytest.fixture(scope="module")
def batch():
    box = torch.tensor([[40.0, 50.0, 180.0, 160.0]])
    target = Target(7, box, torch.tensor([7]))
    return ImageBatch(torch.randint(0, 256, (1, 3, CROP, CROP), dtype=torch.uint8), (target,), (0,))


def flops(work) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def test_boxes_of_five_classes_cost_less_than_5_percent_more_than_classes_alone(networks, batch):
    localizer, classifier = networks
    localizer.eval(), classifier.eval()

    @torch.no_grad()
    def locate() -> None:
        maps = localizer.features(batch.images)
        localizer.boxes(maps, localizer.class_logits(maps).topk(5).indices)

    with torch.no_grad():
        alone = flops(lambda: classifier.logits(batch.images))
    assert 1.0 < flops(locate) / alone < 1.05


def test_a_training_step_with_boxes_costs_less_than_15_percent_more(networks, batch):
    localizer, classifier = networks
    localizer.train(), classifier.train()
    alone = flops(lambda: sum(classifier(batch).values()).backward())
    assert 1.0 < flops(lambda: sum(localizer(batch).values()).backward()) / alone < 1.15
