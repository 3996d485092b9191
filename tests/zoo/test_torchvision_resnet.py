"""torchvision's own weights API is called throughout; only the network is replaced."""

import hashlib
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import torch
import torchvision

from resdet.backbones.resnet import ResNet
from resdet.backbones.weights import load_into
from resdet.build import open_model
from resdet.errors import InputError
from resdet.zoo.torchvision_resnet import torchvision_resnet

NAME = "torchvision:ResNet18_Weights.IMAGENET1K_V1"


def state_of(depth: int, classes: int = 1000) -> dict[str, torch.Tensor]:
    """As torchvision makes it, with zeros for weights: initialising them would take seconds."""
    with torch.device("meta"):
        net = getattr(torchvision.models, f"resnet{depth}")(num_classes=classes)
    state = net.to_empty(device="cpu").state_dict()
    return {key: torch.zeros_like(value) for key, value in state.items()}


@pytest.fixture
def published(tmp_path) -> Path:
    """What the server has: a ResNet-18 whose fc.bias is known."""
    state = state_of(18)
    state["fc.bias"] = torch.arange(1000.0)
    torch.save(state, tmp_path / "published.pth")
    return tmp_path / "published.pth"


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hub" / "checkpoints"


@pytest.fixture
def downloads(published, monkeypatch) -> list[tuple[str, str]]:
    """Every download as (url, hash it was checked against); the file's true hash is not that of the real one."""
    seen = []

    def copy(url: str, dst: str, hash_prefix: str, progress: bool) -> None:
        seen.append((url, hash_prefix))
        shutil.copy(published, dst)

    monkeypatch.setattr(torch.hub, "download_url_to_file", copy)
    return seen


def test_a_name_downloads_once_checks_the_hash_and_loads(downloads, empty_cache):
    weights = torchvision_resnet(NAME)
    net = ResNet(weights.depth, 1000, stride_in=weights.stride_in)
    assert load_into(net, weights.state, source=weights.source).fits
    assert torch.equal(net.fc.bias.detach(), torch.arange(1000.0))
    assert downloads == [("https://download.pytorch.org/models/resnet18-f37072fd.pth", "f37072fd")]
    assert (empty_cache / "resnet18-f37072fd.pth").exists()
    torchvision_resnet(NAME)
    assert len(downloads) == 1


def test_nothing_is_written_to_stdout(downloads, capsys):
    torchvision_resnet(NAME)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Downloading" in captured.err


def test_what_came_with_the_weights_is_told(published):
    weights = torchvision_resnet(f"{NAME}={published}")
    assert (weights.depth, weights.stride_in) == (18, "3x3")
    assert (weights.mean, weights.std) == ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    assert (weights.resize, weights.crop) == (256, 224)


def test_a_file_takes_the_place_of_the_download(published, monkeypatch):
    monkeypatch.setattr(torch.hub, "download_url_to_file", None)  # calling it would fail
    weights = torchvision_resnet(f"{NAME}={published}")
    assert weights.state["fc.bias"].tolist() == list(range(1000))
    assert weights.source == f"{NAME}={published}"


def test_a_file_that_is_damaged_in_transit_is_refused_and_not_kept(published, monkeypatch, empty_cache):
    assert not hashlib.sha256(published.read_bytes()).hexdigest().startswith("f37072fd")
    monkeypatch.setattr(torch.hub, "urlopen", lambda *_, **__: urllib.request.urlopen(published.as_uri()))
    with pytest.raises(
        InputError, match=r"cannot be had from https://.*resnet18-f37072fd.pth: invalid hash value"
    ) as e:
        torchvision_resnet(NAME)
    assert "\n" not in str(e.value)
    assert list(empty_cache.iterdir()) == []


def test_without_a_network_the_message_says_how_to_do_without(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    with pytest.raises(InputError, match=rf"no route to host.*is named {NAME}=FILE$"):
        torchvision_resnet(NAME)


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_every_resnet_of_torchvisions_has_our_shapes(depth, monkeypatch):
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: None)
    monkeypatch.setattr(torch.hub, "_is_legacy_zip_format", lambda _: False)
    monkeypatch.setattr(torch, "load", lambda *_, **__: state_of(depth))
    for entry in getattr(torchvision.models, f"ResNet{depth}_Weights"):
        weights = torchvision_resnet(f"torchvision:{entry}")
        with torch.device("meta"):
            net = ResNet(weights.depth, 1000)
        shapes = {k: v.shape for k, v in net.state_dict().items()}
        assert {k: v.shape for k, v in weights.state.items()} == shapes


@pytest.mark.parametrize(
    "name", ["ResNet50_Weights.IMAGENET1K_V9", "VGG16_Weights.IMAGENET1K_V1", "ResNet20_Weights.X", "resnet50", ""]
)
def test_an_unknown_name_is_answered_with_the_known_ones(name):
    with pytest.raises(InputError) as caught:
        torchvision_resnet(f"torchvision:{name}")
    assert f"torchvision:{name}: wanted one of ResNet18_Weights.IMAGENET1K_V1, " in str(caught.value)
    assert str(caught.value).endswith("ResNet152_Weights.IMAGENET1K_V2")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.pt: wanted a file of weights, got no such file"):
        torchvision_resnet(f"{NAME}={tmp_path}/none.pt")


def test_a_classifier_of_ones_own_classes_is_told_where_it_goes(tmp_path):
    torch.save(state_of(18, classes=7), tmp_path / "own.pth")
    with pytest.raises(InputError, match=r"own\.pth: its classifier tells 7 classes apart, .*model\.backbone\.weights"):
        open_model(f"{NAME}={tmp_path}/own.pth")
