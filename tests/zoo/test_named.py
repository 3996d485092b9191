"""Which published network a string names."""

import pytest

from resdet.errors import InputError
from resdet.zoo.named import named_detector, named_resnet


@pytest.mark.parametrize("name", ["torchvision:fasterrcnn_resnet50_fpn=w.pth", "torchvision:FasterRCNN_ResNet50"])
def test_a_detector_by_its_functions_name_is_answered_with_those_there_are(name):
    with pytest.raises(InputError, match=r"wanted one of FasterRCNN_ResNet50_FPN_Weights\.COCO_V1, "):
        named_detector(name)


@pytest.mark.parametrize(
    "name", ["torchvision:FasterRCNN_ResNet50_FPN_Weights.COCO_V1", "detectron2:faster_rcnn_R_50_C4=w.pkl"]
)
def test_a_detector_where_a_resnet_is_wanted_is_told_where_it_goes(name):
    with pytest.raises(InputError, match=r": a detector, which is for model\.weights: wanted a ResNet$"):
        named_resnet(name)


def test_files_of_ours_are_neither():
    assert named_detector("runs/faster_rcnn/best.pt") is None
    assert named_resnet("runs/faster_rcnn/best.pt") is None
