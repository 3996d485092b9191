"""Detectors over an annotated data set: whose labels, which images, and what cannot be counted."""

import argparse

import numpy as np
import pytest
from PIL import Image
from tiny_detector import write_detector

from resdet.build import build_classifier
from resdet.config import ClsConfig
from resdet.data.records import Classes, Record, pack
from resdet.engine.checkpoint import Checkpoint, save
from resdet.errors import InputError, UsageError
from resdet.jobs.detection import predict_with
from resdet.jobs.trained import open_classifier, open_localizer
from resdet.options import add_options
from resdet.settings import override, to_dict

IDS = ("ant", "bee", "cat")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of a detector whose classes come in a given order; the class "bee" is by far its likeliest."""

    def make(ids=IDS, seed=0):
        return write_detector(tmp_path_factory.mktemp("weights") / "det.pt", ids, "bee", seed=seed)

    return make


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    root = tmp_path_factory.mktemp("set")
    for i, (width, height) in enumerate([(80, 60), (60, 90), (64, 64)]):
        pixels = np.random.default_rng(i).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{i}.png")
    sizes = [(80, 60), (60, 90), (0, 0)]  # the annotation of the last does not say
    rows = [Record(f"{i}.png", -1, [(1, 1, 20, 20)], [0], size=size) for i, size in enumerate(sizes)]
    return pack(root, Classes(IDS, IDS), rows)


def options(*words):
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args(["--device", "cpu", *words])


def test_every_image_is_answered_in_its_own_pixels(weights, records):
    found = predict_with(weights(), (), options(), records)
    assert set(found.images.tolist()) == {0, 1, 2}
    for image, (width, height) in enumerate([(80, 60), (60, 90), (64, 64)]):
        boxes = found.boxes[found.images == image]
        assert (boxes >= 0).all()
        assert (boxes[:, 2] <= width).all()
        assert (boxes[:, 3] <= height).all()
        assert boxes[:, 2:].max() > 50, "not the network's pixels"
    assert found.labels[found.scores.argmax()] == IDS.index("bee")


@pytest.mark.parametrize("ids", [("cat", "ant", "bee"), ("dog", "bee", "ant", "elk", "cat")], ids=["turned", "others"])
def test_labels_are_the_data_sets_whatever_order_the_weights_have(weights, records, ids):
    found = predict_with(weights(ids), (), options(), records)
    assert set(found.labels.tolist()) <= {0, 1, 2}
    best = np.array([found.labels[found.images == image][0] for image in range(3)])
    assert (best == IDS.index("bee")).all()


def test_a_class_that_the_weights_lack_is_named(weights, records):
    with pytest.raises(InputError, match="it lacks 1, the first is 'ant'"):
        predict_with(weights(("bee", "cat")), (), options(), records)


def test_several_weights_answer_together(weights, records):
    one, two = weights(), weights(("cat", "ant", "bee"), seed=1)
    alone, together = (predict_with(files, (), options(), records) for files in (one, [one, two]))
    assert together.labels[0] == IDS.index("bee")
    assert not np.array_equal(alone.scores[:5], together.scores[:5])


def test_settings_and_batches_reach_the_detector(weights, records):
    few = predict_with(weights(), ("test.max_detections=2",), options(), records)
    assert np.bincount(few.images).tolist() == [2, 2, 2]
    one_by_one = predict_with(weights(), (), options("--batch-size", "1"), records)
    batched = predict_with(weights(), (), options("--batch-size", "3", "--workers", "1"), records)
    assert batched.images.tolist() == one_by_one.images.tolist()
    np.testing.assert_allclose(batched.scores, one_by_one.scores, rtol=1e-3)
    everything = ("test.refine=true", "test.vote=true", "test.scales=[48, 64]")
    assert len(predict_with(weights(), everything, options(), records))


def test_an_annotation_of_another_size_is_refused(weights, records):
    wrong = pack(records.root, records.classes, [Record("0.png", -1, size=(60, 80))])
    with pytest.raises(InputError, match="before EXIF turned it"):
        predict_with(weights(), (), options(), wrong)


def test_no_images_and_unreadable_ones_are_one_line(weights, records):
    with pytest.raises(InputError, match="no images to detect in"):
        predict_with(weights(), (), options(), pack(records.root, records.classes, []))
    with pytest.raises(InputError, match=r"missing\.png: not found"):
        predict_with(weights(), (), options(), pack(records.root, records.classes, [Record("missing.png", -1)]))


def test_what_does_not_detect_is_refused(records, tmp_path):
    config = override(ClsConfig, {}, ("model.backbone.depth=18", "model.backbone.width=8", "data.workers=0"), "test")
    classifier = build_classifier(config, 3)
    save(tmp_path / "cls.pt", Checkpoint("cls", to_dict(config), IDS, IDS, 1, classifier.state_dict()))
    with pytest.raises(UsageError, match="a classifier, which does not detect"):
        predict_with(tmp_path / "cls.pt", (), options(), records)


def test_a_detector_is_no_classifier_and_no_localizer(weights):
    for opened in (open_classifier, open_localizer):
        with pytest.raises(UsageError, match="a detector"):
            opened(weights(), (), options())
