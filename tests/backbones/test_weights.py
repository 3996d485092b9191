"""A state dict into a module: what does not fit is named, and nothing is copied by half."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from resdet.backbones.resnet import ResNet
from resdet.backbones.weights import compare, load_into, read_state
from resdet.errors import InputError


def small_net(classes: int = 3) -> nn.Module:
    return nn.ModuleDict({"conv": nn.Conv2d(3, 2, 1, bias=False), "bn": nn.BatchNorm2d(2), "fc": nn.Linear(2, classes)})


def test_a_state_dict_that_fits_is_copied_whole():
    source, target = small_net(), small_net()
    report = load_into(target, source.state_dict(), source="w.pt")
    torch.testing.assert_close(target.state_dict(), source.state_dict())
    assert report.fits
    assert len(report.loaded) == 8  # conv 1, batch norm 2 + 2 + a counter, fc 2
    assert str(report) == "w.pt: 8 tensors"


def test_what_does_not_fit_is_named_with_wanted_and_got_and_nothing_is_copied():
    net = ResNet(18, 200)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with torch.device("meta"):
        state = ResNet(18, 1000).state_dict()
    with pytest.raises(InputError) as caught:
        load_into(net, state, source="resnet18.pth")
    assert str(caught.value) == (
        "resnet18.pth: 2 keys do not fit: "
        "fc.weight: wanted (200, 512), got (1000, 512); fc.bias: wanted (200,), got (1000,)"
    )
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_missing_and_unexpected_keys_are_named_and_a_long_list_is_counted():
    state = small_net().state_dict()
    for key in ("conv.weight", "bn.running_mean", "bn.weight"):
        del state[key]
    state["neck.weight"] = torch.zeros(1)
    report = compare(small_net(), state, source="w.pt")
    assert set(report.missing) == {"conv.weight", "bn.running_mean", "bn.weight"}
    assert report.unexpected == ("neck.weight",)
    assert str(report).startswith("w.pt: 4 keys do not fit: conv.weight: missing; ")
    assert str(report).endswith("; and 1 more")


def test_the_classifier_can_be_left_out_for_a_new_list_of_classes():
    pretrained, net = small_net(1000), small_net(3)
    fc = net["fc"].weight.clone()
    report = load_into(net, pretrained.state_dict(), source="w.pt", skip=("fc.",))
    torch.testing.assert_close(net["conv"].weight, pretrained["conv"].weight)
    assert torch.equal(net["fc"].weight, fc)
    assert report.left_out == ("fc.weight", "fc.bias")
    assert str(report) == "w.pt: 6 tensors, left out fc.weight, fc.bias"


def test_the_classifier_is_left_out_even_where_it_would_fit_by_chance():
    net = small_net(3)
    fc = net["fc"].weight.clone()
    load_into(net, small_net(3).state_dict(), source="w.pt", skip=("fc.",))
    assert torch.equal(net["fc"].weight, fc)


def test_a_state_dict_without_a_classifier_loads_when_it_is_left_out():
    state = {k: v for k, v in small_net().state_dict().items() if not k.startswith("fc.")}
    assert load_into(small_net(), state, source="w.pt", skip=("fc.",)).fits
    with pytest.raises(InputError, match=r"w.pt: 2 keys do not fit: fc.weight: missing; fc.bias: missing"):
        load_into(small_net(), state, source="w.pt")


def test_batch_norms_counter_may_be_missing_as_in_old_files():
    state = {k: v for k, v in small_net().state_dict().items() if not k.endswith("num_batches_tracked")}
    assert load_into(small_net(), state, source="old.pth").fits


def test_half_precision_weights_load_into_a_float32_net():
    state = {k: v.half() if v.is_floating_point() else v for k, v in small_net().state_dict().items()}
    net = small_net()
    load_into(net, state, source="w.pt")
    assert net["conv"].weight.dtype == torch.float32
    torch.testing.assert_close(net["conv"].weight, state["conv.weight"].float())


def test_a_state_dict_is_found_where_training_scripts_put_it(tmp_path):
    plain = small_net().state_dict()
    contents = {
        "plain": plain,
        "below model": {"model": plain, "epoch": 3},
        "below state_dict": {"state_dict": plain},
        "below model_state_dict": {"model_state_dict": plain, "optimizer_state_dict": {}},
        "distributed": {"model": {f"module.{k}": v for k, v in plain.items()}},
        "compiled": {f"_orig_mod.{k}": v for k, v in plain.items()},
        "both": {f"module._orig_mod.{k}": v for k, v in plain.items()},
        "ours": {"model": {**{f"backbone.{k}": v for k, v in plain.items()}, "rpn.neck.weight": torch.zeros(1)}},
    }
    for name, content in contents.items():
        torch.save(content, tmp_path / "w.pt")
        state = read_state(tmp_path / "w.pt")
        assert state.keys() == plain.keys(), name
        torch.testing.assert_close(state, dict(plain))


def test_a_detector_of_torchvisions_is_told_where_it_goes(tmp_path):
    detector = {f"backbone.body.{k}": v for k, v in small_net().state_dict().items()}
    torch.save({**detector, "rpn.head.cls_logits.bias": torch.zeros(3)}, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"wanted torchvision:NAME=.*w\.pt for model\.weights, NAME being FasterRCNN"):
        read_state(tmp_path / "w.pt")


def test_safetensors_are_read_too(tmp_path):
    save_file(small_net().state_dict(), tmp_path / "w.safetensors")
    assert load_into(small_net(), read_state(tmp_path / "w.safetensors"), source="w.safetensors").fits


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([1, 2], r"wanted a state dict \(names and tensors\), got list"),
        ({}, r"wanted a state dict \(names and tensors\), got dict"),
        ({"lr": 0.1}, "lr: wanted a tensor, got float"),
        ({"model": {"a": torch.zeros(1), "b": "text"}}, "b: wanted a tensor, got str"),
        ({"a": torch.zeros(1), 5: torch.zeros(1)}, r"wanted a state dict \(names and tensors\), got 5 for a name"),
    ],
)
def test_something_else_than_a_state_dict_is_refused_by_name(tmp_path, content, problem):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(InputError, match=rf"w\.pt: {problem}$"):
        read_state(tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda w: w.to_sparse(), "a dense tensor of real numbers, got torch.sparse_coo"),
        (lambda w: w.to(torch.complex64), "a dense tensor of real numbers, got torch.complex64"),
        (lambda w: torch.nested.nested_tensor([w, w[:1]]), "a dense tensor of real numbers, got nested"),
        (
            lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8),
            "a dense tensor of real numbers, got torch.qint8",
        ),
        (lambda w: w.to(torch.int8), "torch.float32, got torch.int8"),
        (lambda w: w.to("meta"), "torch.float32, got no numbers"),
    ],
    ids=["sparse", "complex", "nested", "quantized", "packed", "meta"],
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested", "ignore:torch.quantize_per_tensor")
def test_tensors_that_are_no_plain_numbers_are_refused_by_name(change, problem):
    """Of a complex one torch would drop half with a warning, int8 without its scale would be taken for the weights."""
    net, state = small_net(), small_net().state_dict()
    before = net["fc"].weight.clone()
    state["fc.weight"] = change(state["fc.weight"])
    with pytest.raises(InputError, match=rf"^w\.pt: fc\.weight: wanted {problem}$"):
        load_into(net, state, source="w.pt")
    assert torch.equal(net["fc"].weight, before)


def test_numbers_that_only_double_precision_holds_are_refused_as_the_infinite_ones_they_would_become():
    state = small_net().state_dict()
    state["fc.bias"] = torch.tensor([0.0, 1e300, 1.0], dtype=torch.float64)
    with pytest.raises(InputError, match=r"fc\.bias: 1 of 3 numbers are NaN or infinite"):
        load_into(small_net(), state, source="w.pt")


def test_a_variance_below_zero_is_refused():
    """Its root would be NaN, and so every answer."""
    net = torch.nn.BatchNorm2d(2)
    state = {**net.state_dict(), "running_var": torch.tensor([1.0, -0.5])}
    with pytest.raises(InputError, match=r"^w\.pt: running_var: a variance below 0, -0\.5$"):
        load_into(net, state, source="w.pt")


def test_weights_of_eight_bits_floating_point_load():
    state, net = small_net().state_dict(), small_net()
    state["fc.weight"] = state["fc.weight"].to(torch.float8_e4m3fn)
    load_into(net, state, source="w.pt")
    torch.testing.assert_close(net["fc"].weight, state["fc.weight"].float())
