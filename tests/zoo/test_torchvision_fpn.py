"""torchvision's own detectors, weights at random, against what we make of their state dicts.

The seeds are such that no overlap lies within 5e-5 of a threshold of suppression: rounding decides nothing.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models.detection import FasterRCNN, fasterrcnn_resnet50_fpn, fasterrcnn_resnet50_fpn_v2
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

from resdet.backbones.weights import compare
from resdet.build import Loaded, build_detector, open_model
from resdet.config import DetConfig, from_dict, load_config
from resdet.data.lists import coco_classes
from resdet.errors import InputError
from resdet.zoo.torchvision_fpn import torchvision_detector

FEW = {"rpn_pre_nms_top_n_test": 120, "rpn_post_nms_top_n_test": 40}  # regions, to be quick
FEW_WORDS = ("test.pre_nms=120", "test.proposals=40")
ALL = {"box_detections_per_img": 10_000}  # COCO's lost ids take none of the first hundred then
NAME = "torchvision:FasterRCNN_ResNet50_FPN_Weights.COCO_V1"
NAME_V2 = "torchvision:FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1"


def noise(width: int, height: int, seed: int = 0) -> torch.Tensor:
    """A picture with large and small spots, so that regions differ."""
    draw = torch.Generator().manual_seed(seed)
    spots = [torch.rand(1, 3, height // s + 1, width // s + 1, generator=draw) for s in (1, 8, 32)]
    large = [nn.functional.interpolate(spot, (height, width), mode="bilinear") for spot in spots]
    return (sum(large)[0] * 85).to(torch.uint8)


@torch.no_grad()
def made_alive(model: nn.Module) -> None:
    """Batch norms that fit the maps, then disturbed; heads whose answers spread."""
    norms = [m for m in model.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    for name, norm in model.backbone.named_modules():
        if norm in norms:
            norm.momentum = 1.0
            norm.weight.fill_(0.2 if "bn3" in name else 1.0)  # as in trained nets
    model.backbone.train()
    model.backbone(torch.stack([noise(128, 96, seed) for seed in range(3)]) / 127.5 - 1)
    model.eval()
    model.transform.min_size, model.transform.max_size = (96,), 128
    for norm in norms:
        for tensor in (norm.weight, norm.running_var):
            tensor.mul_(torch.empty_like(tensor).uniform_(0.8, 1.25))
        norm.bias.normal_(std=0.1)
    seen = []
    handles = [
        module.register_forward_hook(lambda module, inputs, output: seen.append((module, output)))
        for module in (model.rpn.head.cls_logits, model.rpn.head.bbox_pred)
    ]
    model([noise(128, 96) / 255])
    for spread, module in ((2.0, model.rpn.head.cls_logits), (0.3, model.rpn.head.bbox_pred)):
        outputs = torch.cat([output.flatten() for which, output in seen if which is module])
        module.weight.mul_(spread / outputs.std())
        module.bias.normal_(std=0.1)
    for handle in handles:
        handle.remove()
    predictor = model.roi_heads.box_predictor
    handle = predictor.register_forward_hook(lambda module, inputs, output: seen.append((module, inputs[0])))
    model([noise(128, 96) / 255])
    handle.remove()
    vectors = seen[-1][1]
    for layer, spread in ((predictor.cls_score, 2.0), (predictor.bbox_pred, 1.0)):
        layer.weight.mul_(spread / layer(vectors).std(0).mean())
        layer.bias.copy_(-layer.weight @ vectors.mean(0))


@pytest.fixture(scope="module")
def theirs_trained():
    """As one trains it oneself, without published weights: batch norm with its counters and its epsilon."""
    torch.manual_seed(2)
    model = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, **FEW, **ALL)
    made_alive(model)
    return model


@pytest.fixture(scope="module")
def theirs_published(theirs_trained):
    """As it is published: frozen statistics, of small variance too, and no epsilon."""
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm2d)
    model = FasterRCNN(backbone, 91, **FEW, **ALL).eval()
    overwrite_eps(model, 0.0)
    state = {k: v for k, v in theirs_trained.state_dict().items() if "num_batches" not in k}
    for key in state:
        if key.endswith("running_var"):  # a small variance with a small scale: the same map, where epsilon is none
            small = torch.arange(len(state[key])) % 2 == 0
            state[key] = torch.where(small, state[key] * 1e-8, state[key])
            weight = key.replace("running_var", "weight")
            state[weight] = torch.where(small, state[weight] * 1e-4, state[weight])
    model.load_state_dict(state)
    return model


@pytest.fixture(scope="module")
def theirs_v2():
    torch.manual_seed(3)
    model = fasterrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, **FEW, **ALL)
    made_alive(model)
    return model


def opened(tmp_path, model: nn.Module, name: str, *words: str) -> Loaded:
    torch.save(model.state_dict(), tmp_path / "w.pth")
    loaded = open_model(f"{name}={tmp_path}/w.pth", (*FEW_WORDS, *words))
    (tmp_path / "w.pth").unlink()
    return loaded


def state_of(tmp_path, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What we make of a state dict."""
    torch.save(state, tmp_path / "w.pth")
    return torchvision_detector(f"{NAME}={tmp_path}/w.pth").state


@torch.no_grad()
def their_answers(model: nn.Module, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The best hundred of an image that is not resized, without those of COCO's lost ids."""
    sides = image.shape[1:]
    model.transform.min_size, model.transform.max_size = (min(sides),), max(sides)
    found = model([image / 255])[0]
    known = torch.isin(found["labels"], torch.tensor(list(coco_classes())))
    return tuple(found[key][known][:100] for key in ("boxes", "scores", "labels"))


def by_class(*columns: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Boxes, scores and labels, class by class: equal scores of two classes may come in either order."""
    order = columns[2].argsort(stable=True)
    return tuple(column[order] for column in columns)


def assert_same(loaded: Loaded, model: nn.Module, *images: torch.Tensor) -> None:
    """One batch of ours against theirs one by one."""
    sizes = [(image.shape[2], image.shape[1]) for image in images]
    width, height = (max(side) for side in zip(*sizes, strict=True))
    batch = torch.stack(
        [nn.functional.pad(i, (0, width - i.shape[2], 0, height - i.shape[1]), value=9) for i in images]
    )
    test = loaded.config.test
    with torch.no_grad():
        found = loaded.model.detect(batch, sizes, test.score_threshold, test.nms_iou, test.max_detections)
    numbers = torch.tensor(loaded.classes.numbers)
    for image, ours in zip(images, found, strict=True):
        theirs = by_class(*their_answers(model, image))
        assert len(theirs[0]) > 20
        assert len(theirs[2].unique()) > 5
        boxes, scores, labels = by_class(ours.boxes, ours.scores, numbers[ours.labels])
        assert labels.tolist() == theirs[2].tolist()
        torch.testing.assert_close(boxes, theirs[0], rtol=0, atol=0.05)
        torch.testing.assert_close(scores, theirs[1], rtol=0, atol=1e-4)


def test_the_published_detector_finds_the_same(tmp_path, theirs_published):
    """Sides that are no multiples of 32, alone and with another image; the last level's cells are 53 x 48 pixels."""
    loaded = opened(tmp_path, theirs_published, NAME)
    assert_same(loaded, theirs_published, noise(150, 90))
    assert_same(loaded, theirs_published, noise(150, 90), noise(96, 128, 1))


def test_a_detector_of_ones_own_keeps_its_epsilon(tmp_path, theirs_trained):
    assert_same(opened(tmp_path, theirs_trained, NAME), theirs_trained, noise(128, 96))


def test_the_second_version_finds_the_same(tmp_path, theirs_v2):
    loaded = opened(tmp_path, theirs_v2, NAME_V2)
    assert_same(loaded, theirs_v2, noise(150, 90), noise(96, 128, 1))


def test_keys_from_before_torchvision_0_13_are_known(tmp_path, theirs_trained):
    old = {}
    for key, value in theirs_trained.state_dict().items():
        key = re.sub(r"(fpn\.\w+_blocks\.\d)\.0", r"\1", key)
        old[key.replace("rpn.head.conv.0.0", "rpn.head.conv")] = value
    assert "backbone.fpn.inner_blocks.0.weight" in old
    found = [state_of(tmp_path, state) for state in (old, theirs_trained.state_dict())]
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


def test_what_they_imply_is_said_and_can_be_overridden(tmp_path, theirs_trained):
    loaded = opened(tmp_path, theirs_trained, NAME, "test.shorter=640")
    test = loaded.config.test
    assert (test.shorter, test.longer, test.score_threshold, test.nms_iou) == (640, 1333, 0.05, 0.5)
    assert loaded.classes.ids == tuple(coco_classes().values())
    assert (loaded.task, len(loaded.classes)) == ("det", 80)


def test_other_classes_have_the_numbers_they_had(tmp_path, theirs_trained):
    theirs = theirs_trained.state_dict()
    for part in ("weight", "bias"):
        for layer, rows in (("cls_score", 4), ("bbox_pred", 16)):
            key = f"roi_heads.box_predictor.{layer}.{part}"
            theirs[key] = theirs[key][:rows].clone()
    state = state_of(tmp_path, theirs)
    assert torch.equal(state["head.cls.bias"], theirs["roi_heads.box_predictor.cls_score.bias"][[1, 2, 3, 0]])
    assert torch.equal(state["head.reg.weight"], theirs["roi_heads.box_predictor.bbox_pred.weight"][4:])
    assert torchvision_detector(f"{NAME}={tmp_path}/w.pth").classes.ids == ("1", "2", "3")


def test_it_fits_the_config_that_goes_on_with_other_classes(tmp_path, theirs_trained):
    config = load_config(DetConfig, Path(__file__).parents[2] / "configs" / "det" / "fpn_r50.yaml")
    with torch.device("meta"):
        model = build_detector(config, 3)
    state = state_of(tmp_path, theirs_trained.state_dict())
    assert compare(model, state, source="coco", skip=("head.cls.", "head.reg.")).fits
    implied = from_dict(DetConfig, torchvision_detector(f"{NAME}={tmp_path}/w.pth").settings, "theirs")
    assert config.test == implied.test
    assert config.model == replace(implied.model, freeze=2, unused_outputs=0)


def test_what_is_no_such_detector_is_refused(tmp_path, theirs_v2):
    torch.save({"backbone.body.conv1.weight": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"no key roi_heads.box_predictor.cls_score.weight: not such a detector"):
        open_model(f"{NAME}={tmp_path}/w.pth")
    with pytest.raises(InputError, match=r"\d+ keys do not fit: "):
        opened(tmp_path, theirs_v2, NAME)
    with pytest.raises(InputError, match=r"wanted one of FasterRCNN_ResNet50_FPN_Weights.COCO_V1, .*V2_Weights"):
        open_model("torchvision:FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1")


@pytest.mark.parametrize(
    ("key", "shape"),
    [("roi_heads.box_predictor.cls_score.weight", (50, 1024)), ("roi_heads.box_predictor.bbox_pred.bias", ()),
     ("backbone.body.bn1.running_var", (3,)), ("backbone.body.bn1.weight", None)],
)  # fmt: skip
def test_tensors_of_another_shape_are_reported(tmp_path, theirs_published, key, shape):
    state = theirs_published.state_dict()
    del state[key]
    if shape is not None:
        state[key] = torch.ones(shape)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"w\.pth: (roi_heads\.box_predictor|. keys do not fit)"):
        open_model(f"{NAME}={tmp_path}/w.pth")
