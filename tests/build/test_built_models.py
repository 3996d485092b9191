"""Models from settings and from the names of weights."""

from pathlib import Path

import pytest
import torch
import torchvision

from resdet.backbones.cifar import CifarResNet
from resdet.build import (
    build_backbone,
    build_classifier,
    build_localizer,
    build_protocol,
    load_backbone,
    open_model,
    plan,
)
from resdet.config import BackboneConfig, ClsConfig, DataConfig, LocConfig, load_config
from resdet.data.lists import imagenet_wnids
from resdet.engine.distributed import Process
from resdet.errors import InputError

NAME = "torchvision:ResNet18_Weights.IMAGENET1K_V1"


@pytest.fixture(scope="module")
def resnet18_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(torchvision.models.resnet18().state_dict(), file)
    return file


def test_torchvisions_name_opens_a_classifier_with_its_logits_and_its_test_size(resnet18_file: Path) -> None:
    loaded = open_model(f"{NAME}={resnet18_file}")
    theirs = torchvision.models.resnet18()
    theirs.load_state_dict(torch.load(resnet18_file, weights_only=True))
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (images / 255 - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    torch.testing.assert_close(loaded.model.logits(images), theirs.eval()(normalised), rtol=1e-4, atol=1e-4)
    assert (loaded.config.data.size, loaded.config.data.resize) == (224, 256)
    assert loaded.classes.ids == imagenet_wnids()


def test_a_localizer_starts_from_torchvisions_backbone(resnet18_file: Path) -> None:
    config = load_config(LocConfig, None, ["model.backbone.depth=18", f"model.backbone.weights={NAME}={resnet18_file}"])
    model = build_localizer(config, 1000)
    load_backbone(model.backbone, config.model.backbone, config.data)
    state = torch.load(resnet18_file, weights_only=True)
    torch.testing.assert_close(model.backbone.layer4[1].conv2.weight.detach(), state["layer4.1.conv2.weight"])
    torch.testing.assert_close(model.backbone.fc.bias.detach(), state["fc.bias"])


def test_weights_of_other_classes_are_refused_by_key_unless_the_classifier_is_new(resnet18_file: Path) -> None:
    how = BackboneConfig(depth=18, weights=f"{NAME}={resnet18_file}")
    backbone = build_classifier(ClsConfig(), 1000).backbone
    with pytest.raises(InputError, match=r"with model\.backbone\.depth=18, the settings have 50"):
        load_backbone(backbone, BackboneConfig(depth=50, weights=how.weights), DataConfig())
    backbone = build_localizer(load_config(LocConfig, None, ["model.backbone.depth=18"]), 7).backbone
    with pytest.raises(InputError, match=r"fc\.(weight|bias): wanted \(7"):
        load_backbone(backbone, how, DataConfig())
    load_backbone(backbone, BackboneConfig(depth=18, weights=how.weights, new_classifier=True), DataConfig())
    assert backbone.fc.out_features == 7


@pytest.mark.parametrize("shortcut", ["A", "C", "none", "gated"])
def test_torchvisions_weights_fit_option_b_alone(resnet18_file: Path, shortcut: str) -> None:
    how = BackboneConfig(depth=18, shortcut=shortcut, weights=f"{NAME}={resnet18_file}")
    with torch.device("meta"):
        backbone = build_backbone(how, 1000)
    with pytest.raises(InputError, match=f"with model.backbone.shortcut=B, the settings have {shortcut}$"):
        load_backbone(backbone, how, DataConfig())


def test_torchvisions_weights_do_not_fit_a_cifar_net(resnet18_file: Path) -> None:
    how = BackboneConfig(family="cifar", depth=20, weights=f"{NAME}={resnet18_file}")
    with pytest.raises(InputError, match=r"with model\.backbone\.family=imagenet, the settings have cifar$"):
        load_backbone(build_backbone(how, 1000), how, DataConfig())


def test_each_family_has_the_papers_shortcut_unless_one_is_named() -> None:
    def keys(family: str, depth: int, shortcut: str = "") -> str:
        with torch.device("meta"):
            net = build_backbone(BackboneConfig(family=family, depth=depth, shortcut=shortcut), 10)
        return " ".join(net.state_dict())

    assert "downsample" in keys("imagenet", 18)
    assert "downsample" not in keys("imagenet", 18, "A")
    assert "gate" in keys("imagenet", 18, "gated")
    assert "downsample" not in keys("cifar", 20)
    assert "downsample" in keys("cifar", 20, "B")


def test_a_classifier_and_a_localizer_stand_on_a_cifar_net_too() -> None:
    words = ["model.backbone.family=cifar", "model.backbone.depth=20"]
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    classifier = build_classifier(load_config(ClsConfig, None, words), 10).eval()
    assert isinstance(classifier.backbone, CifarResNet)
    assert classifier.logits(images).shape == (2, 10)
    localizer = build_localizer(load_config(LocConfig, None, [*words, "model.anchor_sizes=[16]"]), 10).eval()
    hidden = localizer.rpn(localizer.features(images)["conv5"])
    assert hidden.shape[-2:] == (8, 8)
    assert localizer.anchors(hidden).max() <= 8 * 4 + 16


def test_the_sibling_convolutions_have_the_papers_sizes_for_one_anchor() -> None:
    one = ["model.anchor_sizes=[128]", "model.anchor_ratios=[1.0]", "model.backbone.depth=18"]
    rpn = build_localizer(load_config(LocConfig, None, one), 1000).rpn
    assert (rpn.cls.out_channels, rpn.reg.out_channels) == (1000, 4000)
    rpn = build_localizer(load_config(LocConfig, None, ["model.backbone.depth=18"]), 1000).rpn
    assert (rpn.cls.out_channels, rpn.reg.out_channels) == (9 * 1000, 9 * 4000)


def test_voting_is_for_dense_testing_unless_it_is_asked_for() -> None:
    def vote(*words: str) -> float | None:
        return build_protocol(load_config(LocConfig, None, list(words))).vote_iou

    assert vote() is None
    assert vote("test.protocol=dense") == 0.5
    assert vote("test.voting=always") == vote("test.voting=greedy") == 0.5
    assert vote("test.protocol=dense", "test.voting=never") is None


def test_a_first_stage_stops_before_its_schedule_ends() -> None:
    alone = Process(0, 1, torch.device("cpu"))
    words = ["train.epochs=10", "train.batch_size=10", "train.schedule=cosine"]
    config = load_config(ClsConfig, None, words)
    assert plan(config.data, config.train, 100, alone).steps == 100
    config = load_config(ClsConfig, None, [*words, "train.stop_epoch=4"])
    assert plan(config.data, config.train, 100, alone).steps == 40
    assert config.train.epochs == 10
