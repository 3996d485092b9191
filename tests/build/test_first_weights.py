"""What training starts from: files of ours that say what they are, and files of others that do not."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from narrow_nets import IDS, classifier, keep, photographs

from resdet import build
from resdet.config import BackboneConfig, DataConfig
from resdet.data.records import Classes
from resdet.engine import checkpoint
from resdet.errors import InputError, UsageError


def saved(file, *words):
    """A classifier of four classes, its batch norm not what it starts as; its checkpoint is ``file``."""
    config, model = classifier(*words)
    build.load_pixel_mean(model, config.data)
    return keep(file, "cls", config, model)


@pytest.mark.parametrize("shape", [(), (7,), (3,), (2, 32, 32), (3, 32, 32, 1), (3, 0, 0)])
def test_a_mean_that_is_no_image_is_told_when_the_weights_are_opened(file, tmp_path, shape):
    np.save(tmp_path / "mean.npy", np.ones((3, 32, 32), np.float32))
    saved(file, f"data.pixel_mean={tmp_path}/mean.npy")
    whole = checkpoint.load(file)
    build.open_model(file)
    whole.model["mean"] = torch.ones(shape)
    checkpoint.save(file, whole)
    with pytest.raises(InputError, match=rf"best\.pt: mean: wanted \(3, height, width\), got {re.escape(str(shape))}"):
        build.open_model(file)


def started(file, *words, ids=IDS):
    """Another classifier, of other settings, that starts from ``file``."""
    config, model = classifier(*words, f"model.backbone.weights={file}")
    build.load_backbone(model.backbone, config.model.backbone, config.data, Classes(ids, ids))
    build.load_pixel_mean(model, config.data)
    return model


@pytest.fixture
def file(tmp_path):
    return tmp_path / "best.pt"


def test_a_damaged_checkpoint_is_told_and_not_taken_for_bare_weights(file):
    weights = saved(file).backbone.layer1[0].conv1.weight.detach().numpy()
    content = bytearray(file.read_bytes())
    place = content.find(weights.tobytes()[:64])
    assert place > 0
    content[place + 3] ^= 0x40  # an exponent: the file is read as ever, the number is another
    file.write_bytes(content)
    changed = torch.load(file, weights_only=True)["model"]["backbone.layer1.0.conv1.weight"].numpy()
    assert (changed != weights).sum() == 1
    with pytest.raises(InputError, match=r"best\.pt: damaged: .* is not as it was written"):
        started(file)


def test_a_checkpoint_of_a_newer_format_is_told_and_not_taken_for_bare_weights(file):
    saved(file)
    torch.save({**torch.load(file, weights_only=True), "format": 2}, file)
    with pytest.raises(InputError, match=r"best\.pt: a checkpoint of format 2, this version reads 1"):
        started(file)


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_anothers_file_of_a_backbone_is_taken_whatever_its_classes_are(tmp_path, ending):
    theirs = saved(tmp_path / "ours.pt").backbone.state_dict()
    file = tmp_path / f"theirs.{ending}"
    if ending == "pt":
        torch.save({"state_dict": theirs}, file)
    else:
        from safetensors.torch import save_file

        save_file(theirs, file)
    ours = started(file, ids=("w", "x", "y", "z")).backbone.state_dict()
    for name, tensor in theirs.items():
        np.testing.assert_array_equal(ours[name], tensor)


DIFFER = {  # settings that leave every shape as it is come first
    "stride": (("depth=50", "stride_in=3x3"), ("depth=50",), "stride_in=3x3, the settings have 1x1"),
    "stem": (("stem=3x3",), ("stem=3x3-pool",), "stem=3x3, the settings have 3x3-pool"),
    "plain": (("shortcut=A",), ("shortcut=none",), "shortcut=A, the settings have none"),
    "cifar's own": (
        ("family=cifar", "depth=20", "width=64"),
        ("family=cifar", "depth=20", "width=64", "shortcut=none"),
        "shortcut=A, the settings have none",
    ),
    "width": (("width=16",), (), "width=16, the settings have 8"),
    "depth": ((), ("depth=34",), "depth=18, the settings have 34"),
    "family": (("family=cifar", "depth=20", "width=64"), (), "family=cifar, the settings have imagenet"),
}


@pytest.mark.parametrize(("there", "here", "told"), DIFFER.values(), ids=DIFFER.keys())
def test_a_checkpoint_of_another_network_is_refused_by_the_setting_that_differs(file, there, here, told):
    saved(file, *(f"model.backbone.{word}" for word in there))
    with pytest.raises(UsageError, match=rf"best\.pt: weights of a network with model\.backbone\.{told}$"):
        started(file, *(f"model.backbone.{word}" for word in here))


@pytest.mark.parametrize("word", ["stride_in=3x3", "shortcut=B", "zero_init_residual=true"])
def test_settings_that_mean_the_same_network_may_be_written_otherwise(file, word):
    there = saved(file)
    torch.testing.assert_close(
        started(file, f"model.backbone.{word}").logits(photographs()), there.logits(photographs())
    )


@pytest.mark.parametrize("word", ["dilate_conv5=true", "new_classifier=true"])
def test_training_may_go_on_with_a_finer_map_or_another_classifier(file, word):
    there = saved(file)
    here = started(file, f"model.backbone.{word}")
    assert torch.equal(here.backbone.layer4[1].conv2.weight, there.backbone.layer4[1].conv2.weight)
    assert torch.equal(here.backbone.fc.weight, there.backbone.fc.weight) == (word == "dilate_conv5=true")


def test_published_weights_are_of_the_network_that_they_are_known_for(tmp_path):
    torch.save(torchvision.models.resnet50().state_dict(), tmp_path / "fifty.pt")
    name = f"torchvision:ResNet50_Weights.IMAGENET1K_V2={tmp_path}/fifty.pt"
    for how, told in (
        ({}, "stride_in=3x3, the settings have 1x1"),
        ({"stem": "3x3"}, "stem=7x7, the settings have 3x3"),
    ):
        settings = BackboneConfig(weights=name, **how)
        with torch.device("meta"):
            backbone = build.build_backbone(settings, 1000)
        with pytest.raises(UsageError, match=f"fifty.pt: weights of a network with model.backbone.{told}$"):
            build.load_backbone(backbone, settings, DataConfig())


def test_images_of_another_deviation_have_the_logits_that_they_had(file):
    expected = saved(file, "data.std=[1, 2, 3]").logits(photographs())
    torch.testing.assert_close(started(file).logits(photographs()), expected, rtol=1e-4, atol=1e-4)


def test_images_of_another_mean_have_the_maps_that_they_had_but_at_the_edge(file):
    maps = []
    there = saved(file, "data.mean=[0, 0, 0]", "data.std=[1, 1, 1]")
    for net in (there, started(file, "data.mean=[100, 110, 120]", "data.std=[50, 60, 70]")):
        pixels = (photographs().float() - net.mean.view(1, 3, 1, 1)) / net.std.view(1, 3, 1, 1)
        maps.append(net.backbone.bn1(net.backbone.conv1(pixels))[:, :, 2:-2, 2:-2])
    torch.testing.assert_close(maps[1], maps[0], rtol=1e-4, atol=1e-3)


def test_a_mean_for_every_pixel_counts_with_its_average(file, tmp_path):
    mean = np.stack([np.full((32, 32), value, np.float32) for value in (10, 20, 30)])
    mean[:, :16] += 4
    mean[:, 16:] -= 4
    np.save(tmp_path / "mean.npy", mean)
    pixelwise = f"data.pixel_mean={tmp_path / 'mean.npy'}"
    there = saved(file, pixelwise, "data.mean=[200, 200, 200]")
    for words in (("data.mean=[10, 20, 30]",), (pixelwise, "data.mean=[90, 90, 90]")):
        here = started(file, *words).backbone.state_dict()
        for name, tensor in there.backbone.state_dict().items():
            assert torch.equal(here[name], tensor), (words, name)
    std = torch.tensor(DataConfig().std)
    shift = there.backbone.conv1.weight.sum((2, 3)) @ (
        90 / std
    )  # of images that are 90 darker once the mean is taken off
    here = started(file, "data.mean=[100, 110, 120]").backbone
    torch.testing.assert_close(here.bn1.running_mean, there.backbone.bn1.running_mean - shift, rtol=1e-4, atol=1e-4)
    there = saved(file, "data.mean=[100, 110, 120]").backbone
    here = started(file, pixelwise, "data.mean=[9, 9, 9]").backbone
    shift = there.conv1.weight.sum((2, 3)) @ (-90 / std)
    torch.testing.assert_close(here.bn1.running_mean, there.bn1.running_mean - shift, rtol=1e-4, atol=1e-4)


def test_a_mean_that_is_none_is_told(file):
    saved(file)
    content = torch.load(file, weights_only=True)
    torch.save({**content, "model": {**content["model"], "mean": torch.zeros(3)}}, file)
    with pytest.raises(InputError, match=r"best\.pt: mean: wanted \(3, height, width\), got \(3,\)"):
        started(file)


def test_a_classifier_of_another_number_of_classes_is_told_with_what_to_do(file):
    saved(file)
    ids = ("a", "b", "c")
    model = build.build_classifier(classifier()[0], len(ids))
    how = BackboneConfig(depth=18, width=8, weights=str(file))
    with pytest.raises(
        InputError, match=r"best\.pt: its classifier tells 4 classes apart, the data set has 3; .*=true"
    ):
        build.load_backbone(model.backbone, how, DataConfig(), Classes(ids, ids))
    fresh = BackboneConfig(depth=18, width=8, weights=str(file), new_classifier=True)
    build.load_backbone(model.backbone, fresh, DataConfig(), Classes(ids, ids))


def test_weights_without_a_classifier_are_told_with_what_to_do(file):
    net = build.build_classifier(classifier()[0], 4).backbone
    torch.save({f"backbone.{k}": v for k, v in net.state_dict().items() if not k.startswith("fc.")}, file)
    how = BackboneConfig(depth=18, width=8, weights=str(file))
    with pytest.raises(InputError, match=r"has no classifier; model\.backbone\.new_classifier=true starts without it$"):
        build.load_backbone(net, how, DataConfig(), Classes(IDS, IDS))
    build.load_backbone(net, replace(how, new_classifier=True), DataConfig(), Classes(IDS, IDS))
