"""tools/export.py: what it writes gives the same answers where it is read again."""

import json
import resource

import numpy as np
import pytest
import torch
import torchvision
from safetensors import safe_open
from tiny_set import draw, main_of

from resdet import cli
from resdet.backbones.resnet import ResNet
from resdet.build import Loaded, build_classifier, open_model
from resdet.config import ClsConfig, to_dict
from resdet.data.lists import imagenet_names, imagenet_wnids
from resdet.data.records import Classes
from resdet.engine.checkpoint import Checkpoint, load, save
from resdet.errors import UsageError
from resdet.inference.onnx import as_function
from resdet.jobs.export import under_torchvisions_names
from resdet.settings import override

IMAGES = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def main():
    return main_of("export")


def export(main, capsys, *words) -> str:
    """What it says: on stdout when it succeeds, else on stderr."""
    code = cli.run(main, [str(word) for word in words])
    said = capsys.readouterr()
    return said.out if code == 0 else f"{code}: {said.err}"


def test_safetensors_open_as_the_same_model_and_say_themselves_what_they_are(main, capsys, tmp_path, loc_weights):
    out = tmp_path / "new" / "loc.safetensors"
    assert "million numbers" in export(main, capsys, "--weights", loc_weights, "--out", out)
    before, after = open_model(loc_weights), open_model(out)
    assert (after.config, after.classes, after.step) == (before.config, before.classes, before.step)
    torch.testing.assert_close(after.model.state_dict(), before.model.state_dict(), rtol=0, atol=0)
    with safe_open(out, framework="np") as file:
        described = json.loads(file.metadata()["resdet"])
    assert (described["task"], described["class_ids"]) == ("loc", ["n01", "n02", "n03"])
    assert described["class_names"] == ["cat", "dög", "热狗"]
    assert described["config"]["data"]["size"] == 32
    assert [f.name for f in out.parent.iterdir()] == ["loc.safetensors"]


def test_safetensors_are_taken_where_weights_are(main, capsys, tmp_path, cls_weights):
    export(main, capsys, "--weights", cls_weights, "--out", tmp_path / "cls.safetensors")
    spec = f"tiny-imagenet:{draw(tmp_path / 'set', wnids=('n01', 'n02', 'n03'))}:val"
    found = []
    for weights in (cls_weights, tmp_path / "cls.safetensors"):
        words = ["--weights", str(weights), "--data", spec, "--json", str(tmp_path / "eval.json")]
        assert cli.run(main_of("eval_cls"), words) == 0
        found.append(json.loads((tmp_path / "eval.json").read_text()))
    assert found[0] == found[1]
    assert found[0]["images"] == 6


def test_settings_given_to_the_export_are_kept(main, capsys, tmp_path, cls_weights):
    words = ("--weights", cls_weights, "--out", tmp_path / "c.pt", "--set", "test.protocol=10-crop")
    export(main, capsys, *words)
    assert open_model(tmp_path / "c.pt").config.test.protocol == "10-crop"
    assert load(tmp_path / "c.pt").resume == {}


@pytest.mark.parametrize("depth", [18, 50])
def test_torchvision_loads_our_resnet_and_gives_its_logits(main, capsys, tmp_path, depth):
    """Trained with another deviation: torchvision's own is one for all its nets."""
    words = (f"model.backbone.depth={depth}", "model.backbone.stride_in=3x3", "data.std=[60, 50, 40]")
    config = override(ClsConfig, {}, words, "test")
    torch.manual_seed(0)
    model = build_classifier(config, 1000).eval()
    state = model.state_dict()
    save(tmp_path / "r.pt", Checkpoint("cls", to_dict(config), imagenet_wnids(), imagenet_names(), 1, state))
    export(main, capsys, "--weights", tmp_path / "r.pt", "--out", tmp_path / "r.pth", "--format", "torchvision")
    with torch.device("meta"):
        theirs = getattr(torchvision.models, f"resnet{depth}")()
    theirs.load_state_dict(torch.load(tmp_path / "r.pth", weights_only=True), assign=True)
    normal = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.no_grad():
        torch.testing.assert_close(theirs.eval()(normal(IMAGES / 255)), model.logits(IMAGES), rtol=1e-4, atol=1e-4)


def test_what_was_written_for_torchvision_is_read_back_by_its_name(main, capsys, tmp_path):
    config = override(ClsConfig, {}, ("model.backbone.depth=18",), "test")
    torch.manual_seed(0)
    model = build_classifier(config, 1000).eval()
    identity = Checkpoint("cls", to_dict(config), imagenet_wnids(), imagenet_names(), 1, model.state_dict())
    save(tmp_path / "r.pt", identity)
    out = tmp_path / "r.safetensors"
    export(main, capsys, "--weights", tmp_path / "r.pt", "--out", out, "--format", "torchvision")
    again = open_model(f"torchvision:ResNet18_Weights.IMAGENET1K_V1={out}").model
    torch.testing.assert_close(again.state_dict(), model.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("depth=50", "has stride_in=3x3, this one 1x1"),
        ("stem=3x3", "has stem=7x7, this one 3x3"),
        ("shortcut=A", "has shortcut=B, this one A"),
        ("width=8", "has width=64, this one 8"),
        ("dilate_conv5=true", "has dilate_conv5=False, this one True"),
    ],
)
def test_a_net_that_torchvision_has_not_is_refused_by_the_setting_that_differs(setting, said):
    words = ("model.backbone.depth=18", f"model.backbone.{setting}")
    config = override(ClsConfig, {}, words, "test")
    with torch.device("meta"):
        loaded = Loaded(build_classifier(config, 2), config, Classes(("a", "b"), ("a", "b")))
    with pytest.raises(UsageError, match=f"^r.pt: torchvision's ResNet {said}$"):
        under_torchvisions_names(loaded, "r.pt")


def test_a_mean_for_every_pixel_has_no_place_under_torchvisions_names():
    words = ("model.backbone.depth=18", "data.size=32", "data.pixel_mean=mean.npy")
    config = override(ClsConfig, {}, words, "test")
    loaded = Loaded(build_classifier(config, 3), config, Classes(("a", "b", "c"), ("a", "b", "c")))
    with pytest.raises(UsageError, match="has a mean for every pixel"):
        under_torchvisions_names(loaded, "r.pt")


def test_an_ending_that_is_not_the_formats_is_refused(main, capsys, tmp_path, cls_weights):
    for name, form in (("a.bin", "resdet"), ("a.onnx", "torchvision"), ("a.pt", "onnx")):
        words = ("--weights", cls_weights, "--out", tmp_path / name, "--format", form)
        assert f"the format {form} is written to ." in export(main, capsys, *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # of torch 2.11's exporter about torch itself
@pytest.mark.parametrize("name", ["net.pth", "net.safetensors", "net.onnx"])
def test_a_full_disk_is_one_line_that_names_the_file_and_leaves_it(main, capsys, tmp_path, name):
    file, config = tmp_path / "r18.pt", override(ClsConfig, {}, ("model.backbone.depth=18", "data.size=32"), "test")
    save(file, Checkpoint("cls", to_dict(config), ("a",), ("A",), 1, build_classifier(config, 1).state_dict()))
    words = ["--format", "onnx" if name.endswith("onnx") else "torchvision"]
    if words[1] == "onnx":
        pytest.importorskip("onnxscript")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, limits[1]))
    try:
        said = export(main, capsys, "--weights", file, "--out", tmp_path / "out" / name, *words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"{tmp_path / 'out' / name}: File too large; what was saved before is as it was" in said
    assert [(f.name, f.read_text()) for f in (tmp_path / "out").iterdir()] == [(name, "before")]


def test_the_function_of_a_localizer_answers_as_the_localizer_does_and_can_be_traced(loc_weights):
    """torch.export is the half of ONNX's exporter that needs no further package."""
    model = open_model(loc_weights).model
    function = as_function(model)
    batch = torch.export.Dim("batch")
    traced = torch.export.export(function, (IMAGES[:2],), dynamic_shapes=({0: batch},)).module()
    with torch.no_grad():
        probabilities, labels, boxes, scores = traced(IMAGES)
        torch.testing.assert_close((probabilities, labels, boxes, scores), function(IMAGES))
        torch.testing.assert_close(probabilities, model.logits(IMAGES).softmax(1))
        every_score, every_box = model.boxes(model.features(IMAGES), labels)
        best = every_score.argmax(-1)
    for i in range(3):
        for j in range(3):
            assert scores[i, j] == every_score[i, j, best[i, j]]
            torch.testing.assert_close(boxes[i, j], every_box[i, j, best[i, j]].clamp(0, 32))
    assert probabilities[0, labels[0]].diff().le(0).all()


def test_without_onnx_one_line_says_what_to_install(main, capsys, tmp_path, cls_weights, monkeypatch):
    monkeypatch.setattr("resdet.inference.onnx.find_spec", lambda name: None)
    answer = export(main, capsys, "--weights", cls_weights, "--out", tmp_path / "c.onnx")
    assert answer.startswith("1: ")
    assert "ONNX needs onnx and onnxscript: pip install onnx onnxscript" in answer
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # of torch 2.11's exporter about torch itself
@pytest.mark.parametrize("kind", ["cls", "loc"])
def test_an_onnx_file_gives_the_models_answers_to_any_number_of_images(
    main, capsys, tmp_path, kind, cls_weights, loc_weights
):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    weights = {"cls": cls_weights, "loc": loc_weights}[kind]
    export(main, capsys, "--weights", weights, "--out", tmp_path / "n.onnx")
    session = runtime.InferenceSession(str(tmp_path / "n.onnx"))
    function = as_function(open_model(weights).model)
    for count in (1, 3):
        with torch.no_grad():
            expected = function(IMAGES[:count])
        expected = [expected] if kind == "cls" else list(expected)
        for got, want in zip(session.run(None, {"images": IMAGES[:count].numpy()}), expected, strict=True):
            np.testing.assert_allclose(got, want.numpy(), rtol=1e-3, atol=1e-4)
    assert "n02" in session.get_modelmeta().custom_metadata_map["resdet"]


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_a_detectors_file_says_at_which_scale_it_looks_and_finds_the_same(main, capsys, tmp_path, det_weights):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    words = (
        "--weights",
        det_weights,
        "--out",
        tmp_path / "d.onnx",
        "--set",
        "test.shorter=96",
        "test.max_detections=7",
    )
    assert "million numbers" in export(main, capsys, *words)
    session = runtime.InferenceSession(str(tmp_path / "d.onnx"))
    described = json.loads(session.get_modelmeta().custom_metadata_map["resdet"])
    assert described["class_names"] == ["the ant", "the bee", "the cat"]
    assert (described["task"], described["shorter"], described["longer"]) == ("det", 96, 128)
    images = torch.randint(0, 256, (2, 3, 96, 120), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    boxes, scores, labels, counts = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        expected = open_model(det_weights).model.detect(images, [(120, 96)] * 2, most=7)
    for i, found in enumerate(expected):
        assert counts[i] == len(found) > 3
        np.testing.assert_allclose(boxes[i, : len(found)], found.boxes, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(scores[i, : len(found)], found.scores, rtol=1e-4)
        np.testing.assert_array_equal(labels[i, : len(found)], found.labels)


@pytest.mark.parametrize(
    ("word", "instead"),
    [
        ("test.refine=true", "test.refine=True: --set test.refine=false"),
        ("test.vote=true", "test.vote=True: --set test.vote=false"),
        ("test.scales=[64, 96]", "test.scales=(64, 96): --set test.scales=[]"),
        (
            "test={refine: true, vote: true}",
            "test.refine=True, test.vote=True: --set test.refine=false test.vote=false",
        ),
    ],
)
def test_a_detectors_file_has_none_of_appendix_b_and_says_so(main, capsys, tmp_path, det_weights, word, instead):
    answer = export(main, capsys, "--weights", det_weights, "--out", tmp_path / "d.onnx", "--set", word)
    assert answer.startswith("2: ")
    assert f"ONNX is without {instead}" in answer
    assert list(tmp_path.iterdir()) == []


def test_the_backbone_of_an_exported_localizer_starts_another_net(main, capsys, tmp_path, loc_weights):
    from resdet.backbones.weights import load_into, read_state

    export(main, capsys, "--weights", loc_weights, "--out", tmp_path / "loc.safetensors")
    net = ResNet(18, 3, stem="3x3")
    load_into(net, read_state(tmp_path / "loc.safetensors"), source="loc.safetensors")
    torch.testing.assert_close(net.fc.weight, open_model(loc_weights).model.backbone.fc.weight)
