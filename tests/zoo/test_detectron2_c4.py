"""A detector under detectron2's names, from an implementation of its own, against what we make of its state dict."""

import pickle

import pytest
import torch
from detectron2_c4_net import MEAN, FasterRCNNC4, anchors, made_alive
from torch import nn

from resdet.build import build_detector, open_model, start_detector
from resdet.config import DetConfig, override
from resdet.data.lists import coco_classes, voc_names
from resdet.data.records import Classes
from resdet.errors import InputError

WIDTH = 8
WORDS = (f"model.backbone.width={WIDTH}", "test.pre_nms=200", "test.proposals=40")
NAME = "detectron2:faster_rcnn_R_50_C4"


def noise(width: int, height: int, seed: int = 0) -> torch.Tensor:
    """RGB with large and small spots, of other mean in each channel, so that colours that changed places show."""
    draw = torch.Generator().manual_seed(seed)
    spots = [torch.rand(1, 3, height // s + 1, width // s + 1, generator=draw) for s in (1, 8, 32)]
    large = [nn.functional.interpolate(spot, (height, width), mode="bilinear") for spot in spots]
    return (sum(large)[0] * torch.tensor([85.0, 60, 40]).view(3, 1, 1)).to(torch.uint8)


@pytest.fixture(scope="module")
def theirs() -> FasterRCNNC4:
    torch.manual_seed(5)  # with it no overlap lies within 2e-4 of a threshold: rounding decides nothing
    net = FasterRCNNC4(WIDTH, classes=80, rpn_channels=16).eval()
    made_alive(net, noise(150, 100).flip(0).float())
    return net


def by_class(*columns: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Boxes, scores and labels, class by class: equal scores of two classes may come in either order."""
    order = columns[2].argsort(stable=True)
    return tuple(column[order] for column in columns)


def published(tmp_path, net: nn.Module, extra=()) -> str:
    """As the model zoo has it: arrays of numpy's, pickled."""
    model = {key: value.numpy() for key, value in net.state_dict().items()} | dict(extra)
    content = {"model": model, "__author__": "Detectron2 Model Zoo"}
    (tmp_path / "model_final.pkl").write_bytes(pickle.dumps(content))
    return str(tmp_path / "model_final.pkl")


def test_it_finds_the_same(tmp_path, theirs):
    """Images whose sides are no multiples of the stride, two in one batch: detectron2 pads nothing around one."""
    loaded = open_model(f"{NAME}={published(tmp_path, theirs)}", WORDS)
    images = [noise(150, 100), noise(93, 131, 1)]
    batch = torch.stack([nn.functional.pad(i, (0, 150 - i.shape[2], 0, 131 - i.shape[1]), value=200) for i in images])
    test = loaded.config.test
    with torch.no_grad():
        found = loaded.model.detect(
            batch, [(150, 100), (93, 131)], test.score_threshold, test.nms_iou, test.max_detections
        )
        for image, ours in zip(images, found, strict=True):
            boxes, scores, labels = by_class(*theirs.detect(image.flip(0).float()))
            assert len(boxes) > 20
            assert len(labels.unique()) > 5
            found_boxes, found_scores, found_labels = by_class(ours.boxes, ours.scores, ours.labels)
            assert found_labels.tolist() == labels.tolist()
            torch.testing.assert_close(found_boxes, boxes, rtol=0, atol=0.05)
            torch.testing.assert_close(found_scores, scores, rtol=0, atol=1e-4)


def test_its_anchors_stand_where_theirs_do(tmp_path, theirs):
    model = open_model(f"{NAME}={published(tmp_path, theirs)}", WORDS).model
    size = [(150, 100)]
    maps = model.features(noise(150, 100)[None], size)
    ours = model._anchors_say(maps, size)[2]
    torch.testing.assert_close(ours[0], anchors(7, 10))


def test_what_it_implies_is_said(tmp_path, theirs):
    loaded = open_model(f"{NAME}={published(tmp_path, theirs)}", (f"model.backbone.width={WIDTH}",))
    test, data = loaded.config.test, loaded.config.data
    assert (test.shorter, test.longer, test.pre_nms, test.proposals, test.nms_iou) == (800, 1333, 6000, 1000, 0.5)
    assert (data.mean, data.std) == ((123.675, 116.28, 103.53), (1.0, 1.0, 1.0))
    assert loaded.classes.names == tuple(coco_classes().values())
    assert loaded.config.model.backbone.stride_in == "1x1"


def test_settings_that_older_files_carry_are_taken_over(tmp_path, theirs):
    cell = anchors(1, 1).numpy()
    extra = {
        "pixel_mean": (MEAN + 1).numpy(),
        "pixel_std": (torch.ones(3, 1, 1) * 2).numpy(),
        "proposal_generator.anchor_generator.cell_anchors.0": cell,
    }
    loaded = open_model(f"{NAME}_3x={published(tmp_path, theirs, extra.items())}", WORDS)
    assert loaded.config.data.mean == pytest.approx((124.675, 117.28, 104.53))
    assert loaded.config.data.std == (2.0, 2.0, 2.0)


def test_twenty_classes_are_vocs_and_other_numbers_have_numbers(tmp_path):
    for count, expected in ((20, voc_names()), (3, ("1", "2", "3"))):
        net = FasterRCNNC4(WIDTH, classes=count, rpn_channels=16)
        file = published(tmp_path, net.requires_grad_(False))
        loaded = open_model(f"detectron2:PascalVOC-Detection/faster_rcnn_R_50_C4={file}", WORDS)
        assert loaded.classes.ids == expected


def test_what_is_no_such_detector_is_refused_by_key(tmp_path, theirs):
    file = published(tmp_path, theirs, {"roi_heads.mask_head.deconv.weight": torch.zeros(1).numpy()}.items())
    with pytest.raises(InputError, match=r"1 keys do not fit: roi_heads.mask_head.deconv.weight: unexpected"):
        open_model(f"{NAME}={file}", WORDS)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({"model": {"backbone.stem.conv1.weight": torch.zeros(1).numpy()}}))
    with pytest.raises(InputError, match=r"no key proposal_generator.rpn_head.conv.weight: not such a detector"):
        open_model(f"{NAME}={tmp_path}/m.pkl")
    with pytest.raises(InputError, match=r"detectron2:faster_rcnn_R_50_FPN_1x: wanted faster_rcnn_R_50_C4 or"):
        open_model(f"detectron2:faster_rcnn_R_50_FPN_1x={file}")
    with pytest.raises(InputError, match=r"are read from a file: download it and name .*C4=FILE"):
        open_model(NAME)


def test_training_starts_from_it_with_images_normalised_otherwise_and_other_classes(tmp_path, theirs):
    name = f"{NAME}={published(tmp_path, theirs)}"
    model = {"weights": name, "backbone": {"depth": 50, "width": WIDTH}, "anchor_sizes": [32, 64, 128, 256, 512]}
    words = (*WORDS[1:], "test.min_side=0")
    config = override(DetConfig, {"model": {**model, "anchor_offset": 0.0, "rpn_channels": 16}}, words, "test")
    detector = build_detector(config, 3).eval()
    siblings = detector.head.cls.weight.clone()
    start_detector(detector, config, Classes(("cat", "dog", "emu"), ("cat", "dog", "emu")))
    image = noise(150, 100)
    with torch.no_grad():
        (ours,) = detector.features(image[None], [(150, 100)])
        features = theirs.features(image.flip(0).float())
        torch.testing.assert_close(ours, features, rtol=1e-3, atol=1e-3)
        regions = theirs.proposals(features, 100, 150)
        torch.testing.assert_close(detector.propose([ours], [(150, 100)])[0].boxes[:5], regions[:5], rtol=0, atol=0.05)
    assert torch.equal(detector.head.cls.weight, siblings)
