"""Which published network a string names, if any."""

from __future__ import annotations

from resdet.errors import InputError
from resdet.zoo import detectron2_file, torchvision_api
from resdet.zoo.detector import PretrainedDetector
from resdet.zoo.detectron2_c4 import detectron2_detector
from resdet.zoo.detectron2_resnet import detectron2_resnet
from resdet.zoo.resnet import PretrainedResNet
from resdet.zoo.torchvision_fpn import torchvision_detector
from resdet.zoo.torchvision_resnet import torchvision_resnet


def named_resnet(name: str) -> PretrainedResNet | None:
    """The published ResNet that a string names; None where it names a file of ours.

    Raises:
        InputError: it begins as one of another project's and goes on as none, or as a detector.
    """
    if is_detector(name):
        raise InputError(f"{name}: a detector, which is for model.weights: wanted a ResNet")
    if name.startswith(torchvision_api.PREFIX):
        return torchvision_resnet(name)
    if name.startswith(detectron2_file.PREFIX):
        return detectron2_resnet(name)
    return None


def named_detector(name: str) -> PretrainedDetector | None:
    """The published detector that a string names; None where it names none."""
    if not is_detector(name):
        return None
    return torchvision_detector(name) if name.startswith(torchvision_api.PREFIX) else detectron2_detector(name)


def is_detector(name: str) -> bool:
    """Whether a string names another project's detector, or tries to."""
    wanted = name.partition("=")[0].lower()
    return wanted.startswith(f"{torchvision_api.PREFIX}fasterrcnn") or (
        wanted.startswith(detectron2_file.PREFIX) and "faster_rcnn" in wanted
    )
