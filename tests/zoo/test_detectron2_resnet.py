"""Files as detectron2's model zoo has them, made here from one of our nets: the net that comes back is the same one.

The names are written down below once more, from their side: what goes wrong twice in the same way is not likely.
"""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from resdet.backbones.resnet import ResNet
from resdet.backbones.weights import load_into, read_state
from resdet.build import build_backbone, load_backbone, open_model
from resdet.config import BackboneConfig, DataConfig
from resdet.errors import InputError
from resdet.zoo.detectron2_resnet import detectron2_resnet

CONVS = {"conv1": "branch2a", "conv2": "branch2b", "conv3": "branch2c", "shortcut": "branch1"}


@pytest.fixture(scope="module")
def net() -> ResNet:
    """A thin ResNet-50 whose batch norms all do something."""
    torch.manual_seed(0)
    net = ResNet(50, 10, width=4).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight, 0.5, 1.5),
                (module.bias, -0.5, 0.5),
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 1.5),
            ):
                nn.init.uniform_(tensor, low, high)
    return net


@pytest.fixture
def images() -> torch.Tensor:
    """RGB in 0 .. 255."""
    return torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(1)).float()


def logits(net: nn.Module, images: torch.Tensor, mean: tuple, std: tuple) -> torch.Tensor:
    with torch.no_grad():
        return net((images - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1))


def layers(net: ResNet):
    """Every convolution, its batch norm, and what detectron2 calls the former."""
    yield "stem.conv1", net.conv1, net.bn1
    for stage, blocks in ((2, net.layer1), (3, net.layer2), (4, net.layer3), (5, net.layer4)):
        for i, block in enumerate(blocks):
            yield f"res{stage}.{i}.conv1", block.conv1, block.bn1
            yield f"res{stage}.{i}.conv2", block.conv2, block.bn2
            if hasattr(block, "conv3"):
                yield f"res{stage}.{i}.conv3", block.conv3, block.bn3
            if block.downsample is not None:
                yield f"res{stage}.{i}.shortcut", *block.downsample


def detectron2_names(net: ResNet) -> dict[str, np.ndarray]:
    """For BGR, as its batch norms have it: no counters."""
    found = {}
    for name, conv, norm in layers(net):
        found[f"{name}.weight"] = conv.weight
        for kind in ("weight", "bias", "running_mean", "running_var"):
            found[f"{name}.norm.{kind}"] = getattr(norm, kind)
    found["stem.conv1.weight"] = found["stem.conv1.weight"][:, [2, 1, 0]]
    return {key: value.detach().numpy() for key, value in found.items()}


def caffe2_names(net: ResNet, conv_biases: float = 0.0) -> dict[str, np.ndarray]:
    """Batch norm folded to a scale and a bias in float64, as detectron's converter did it."""
    found = {"conv1_b": np.full(len(net.conv1.weight), conv_biases), "fc1000_w": net.fc.weight, "fc1000_b": net.fc.bias}
    for name, conv, norm in layers(net):
        if name == "stem.conv1":
            blob, norm_blob = "conv1", "res_conv1"
        else:
            stage, i, part = name.split(".")
            blob = norm_blob = f"{stage}_{i}_{CONVS[part]}"
        scale = norm.weight.double() / (norm.running_var.double() + 1e-5).sqrt()
        found[f"{blob}_w"] = conv.weight
        found[f"{blob}_b"] = np.full(len(conv.weight), conv_biases)
        found[f"{norm_blob}_bn_s"] = scale
        found[f"{norm_blob}_bn_b"] = norm.bias - scale * norm.running_mean - scale * conv_biases
    found["conv1_w"] = net.conv1.weight.flip(1)
    numbers = {key: torch.as_tensor(value).detach().float().numpy() for key, value in found.items()}
    return {**numbers, "conv1_w_momentum": numbers["conv1_w"]}


def saved(tmp_path, content, name: str = "R-50.pkl") -> str:
    (tmp_path / name).write_bytes(pickle.dumps(content, protocol=2))
    return str(tmp_path / name)


def opened(name: str):
    """The network of a file, with ten classes and a width of 4, and how its images are normalised."""
    found = detectron2_resnet(name)
    net = ResNet(found.depth, 10, width=4, stride_in=found.stride_in)
    load_into(net, found.state, source=name, skip=() if "fc.weight" in found.state else ("fc.",))
    return net.eval(), found


def test_detectron2s_names_give_the_same_feature_maps(tmp_path, net, images):
    content = {"model": detectron2_names(net), "__author__": "MSRA", "matching_heuristics": True}
    back, found = opened(f"detectron2:R-50={saved(tmp_path, content)}")
    assert (found.stride_in, found.mean, found.std) == ("1x1", (123.675, 116.28, 103.53), (1.0, 1.0, 1.0))
    pixels = images - torch.tensor(found.mean).view(1, 3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(back.features(pixels)["conv5"], net.features(pixels)["conv5"])


@pytest.mark.parametrize("conv_biases", [0.0, 0.25])
def test_detectrons_blobs_give_the_same_logits_their_batch_norm_being_an_affine_map(tmp_path, net, images, conv_biases):
    blobs = caffe2_names(net, conv_biases)
    for content in (blobs, {"blobs": blobs}):
        back, found = opened(f"detectron2:MSRA/R-50={saved(tmp_path, content)}")
        expected = logits(net, images, found.mean, found.std)
        torch.testing.assert_close(logits(back, images, found.mean, found.std), expected, rtol=1e-4, atol=1e-4)
    assert back.bn1(torch.ones(1, 4, 1, 1)).flatten().equal(back.bn1.weight + back.bn1.bias)  # exactly scale and bias


def test_torchvisions_networks_keep_their_colours_and_their_stride(tmp_path, net):
    ours = {key.removeprefix("stem."): value for key, value in detectron2_names(net).items()}
    content = {"model": {f"stem.{key}" if "res" not in key else key: value for key, value in ours.items()}}
    content["model"]["stem.fc.weight"] = net.fc.weight.detach().numpy()
    content["model"]["stem.fc.bias"] = net.fc.bias.detach().numpy()
    for name, author in (("R-50", "torchvision"), ("torchvision/R-50", "torchvision"), ("torchvision/R-50", None)):
        file = saved(tmp_path, {**content, "__author__": author})
        found = detectron2_resnet(f"detectron2:{name}={file}")
        assert (found.stride_in, found.std) == ("3x3", (58.395, 57.12, 57.375))
        assert found.state["conv1.weight"].equal(net.conv1.weight.flip(1).detach())  # as it lies in the file
        assert found.state["fc.bias"].equal(net.fc.bias.detach())
    for name, author in (("MSRA/R-50", "torchvision"), ("torchvision/R-50", "MSRA")):
        file = saved(tmp_path, {**content, "__author__": author})
        with pytest.raises(InputError, match=f"the file's author is {author}"):
            detectron2_resnet(f"detectron2:{name}={file}")


def test_a_pth_of_tensors_is_read_too(tmp_path, net):
    state = {key: torch.from_numpy(value) for key, value in detectron2_names(net).items()}
    torch.save({"model": state, "iteration": 3}, tmp_path / "r.pth")
    back, _ = opened(f"detectron2:R-50={tmp_path}/r.pth")
    torch.testing.assert_close(back.layer4[2].conv3.weight, net.layer4[2].conv3.weight)


def test_the_backbone_of_a_detector_is_found_in_it(tmp_path, net):
    for form in ("backbone.{}", "backbone.bottom_up.{}"):  # C4 and FPN
        model = {form.format(key): value for key, value in detectron2_names(net).items()}
        if "bottom_up" not in form:  # conv5 is for regions there
            conv5 = {key for key in model if ".res5." in key}
            model |= {key.replace("backbone.", "roi_heads."): model.pop(key) for key in conv5}
        model |= {"proposal_generator.rpn_head.conv.weight": np.zeros(1), "roi_heads.box_predictor.w": np.zeros(1)}
        model |= {"backbone.fpn_lateral2.weight": np.zeros(1), "pixel_mean": np.zeros(3)}
        back, _ = opened(f"detectron2:R-50={saved(tmp_path, {'model': model})}")
        torch.testing.assert_close(back.layer4[2].conv3.weight, net.layer4[2].conv3.weight)


def test_what_does_not_fit_is_reported_by_the_name_it_has_there(tmp_path, net):
    names = detectron2_names(net)
    names["stem.gn.weight"] = names.pop("res2.0.conv1.norm.weight")
    with pytest.raises(InputError, match=r"2 keys do not fit: layer1.0.bn1.weight: missing; gn.weight: unexpected"):
        opened(f"detectron2:R-50={saved(tmp_path, {'model': names})}")


@pytest.mark.parametrize(
    ("key", "shape"), [("conv1_w", (3,)), ("res_conv1_bn_b", (2, 1)), ("fc1000_w", (3,)), ("res_conv1_bn_s", None)]
)
def test_blobs_of_another_shape_are_reported(tmp_path, net, key, shape):
    blobs = caffe2_names(net, 0.5)
    assert key in blobs
    del blobs[key]
    if shape:
        blobs[key] = np.ones(shape, np.float32)
    with pytest.raises(InputError, match=r"keys do not fit: "):
        load_into(net, detectron2_resnet(f"detectron2:R-50={saved(tmp_path, {'model': blobs})}").state, source="x")


def test_training_starts_from_them_with_images_normalised_otherwise(tmp_path, net, images):
    file = saved(tmp_path, {"model": detectron2_names(net)})
    how = BackboneConfig(depth=50, width=4, weights=f"detectron2:R-50={file}", new_classifier=True)
    mean = (123.675, 116.28, 103.53)
    expected = net.features(images - torch.tensor(mean).view(1, 3, 1, 1))["conv5"]
    backbone = build_backbone(how, 10).eval()
    load_backbone(backbone, how, DataConfig())  # ImageNet's deviations for 1
    pixels = (images - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(DataConfig().std).view(1, 3, 1, 1)
    tolerance = 1e-5 * expected.abs().max().item()
    torch.testing.assert_close(backbone.features(pixels)["conv5"], expected, rtol=1e-4, atol=tolerance)
    with pytest.raises(InputError, match="stride_in=1x1, the settings have 3x3"):
        load_backbone(backbone, BackboneConfig(depth=50, width=4, stride_in="3x3", weights=how.weights), DataConfig())


def test_another_mean_moves_to_batch_norm_but_for_the_outermost_pixels(tmp_path, net, images):
    how = BackboneConfig(
        depth=50,
        width=4,
        weights=f"detectron2:R-50={saved(tmp_path, {'model': detectron2_names(net)})}",
        new_classifier=True,
    )
    backbone = build_backbone(how, 10).eval()
    load_backbone(backbone, how, DataConfig(mean=(10.0, 20.0, 30.0), std=(2.0, 3.0, 4.0)))
    ours = (images - torch.tensor([10.0, 20.0, 30.0]).view(1, 3, 1, 1)) / torch.tensor([2.0, 3, 4]).view(1, 3, 1, 1)
    theirs = images - torch.tensor([123.675, 116.28, 103.53]).view(1, 3, 1, 1)
    got, expected = (n.bn1(n.conv1(x))[:, :, 2:-2, 2:-2] for n, x in ((backbone, ours), (net, theirs)))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-3)


def test_a_file_of_theirs_named_as_ours_is_told_its_name(tmp_path, net):
    for content in ({"model": detectron2_names(net)}, caffe2_names(net)):
        file = saved(tmp_path, content)
        with pytest.raises(InputError, match=r"has detectron2's names: wanted detectron2:NAME=.*R-50.pkl, NAME"):
            read_state(tmp_path / "R-50.pkl")
    with pytest.raises(InputError, match=r"has no classifier: it is what training starts from"):
        open_model(f"detectron2:R-50={saved(tmp_path, {'model': detectron2_names(net)})}")
    with pytest.raises(InputError, match=r"read from a file: download it and name detectron2:R-50=FILE"):
        detectron2_resnet("detectron2:R-50")
    with pytest.raises(InputError, match=r"detectron2:X-101: wanted R-50, R-101"):
        detectron2_resnet(f"detectron2:X-101={file}")


def test_a_whole_classifier_opens_with_imagenets_classes(tmp_path):
    torch.manual_seed(0)
    net = ResNet(18, 1000).eval()
    blobs = caffe2_names(net)
    loaded = open_model(f"detectron2:R-18={saved(tmp_path, blobs)}")
    assert loaded.config.data.std == (1.0, 1.0, 1.0)
    assert (loaded.classes.ids[0], len(loaded.classes)) == ("n01440764", 1000)
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    expected = logits(net, images.float(), loaded.config.data.mean, (1.0, 1.0, 1.0))
    torch.testing.assert_close(loaded.model.logits(images), expected, rtol=1e-3, atol=1e-3)
