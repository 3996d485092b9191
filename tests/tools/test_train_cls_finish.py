"""tools/train_cls.py --finish: from an ended run to finished.pt."""

import pytest
import torch
from tiny_set import draw, main_of, specs

from resdet import build, cli
from resdet.backbones.resnet import normalise
from resdet.data import loading
from resdet.data.formats import open_records
from resdet.engine import checkpoint

MAIN = main_of("train_cls")
# the training view is the whole 64x64 image, drawn at 32 and never mirrored: nothing about it but its colour is random
CONFIG = """
data: {size: 32, resize: 32, workers: 0}
augment: {shorter_side: [224, 224], mirror: 0, brightness: 0.4, color_probability: 1, pca_lighting: 0}
model: {backbone: {depth: 18, width: 8, stem: 3x3}}
train: {epochs: 2, batch_size: 4, lr: 0.01, schedule: cosine}
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("set"))


def tool(*words):
    """Run it here: its exit code."""
    return cli.run(MAIN, [str(word) for word in words])


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """The words that name a run which has ended."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.yaml").write_text(CONFIG)
    words = [folder / "tiny.yaml", *specs(data), "--out", folder / "out"]
    assert tool(*words) == 0
    return words


def one_line(capsys):
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_finished_differs_from_best_in_batch_norms_statistics_alone(run, capsys):
    out = run[-1]
    kept = {file.name: file.read_bytes() for file in out.iterdir() if file.name != "finished.pt"}
    assert tool(*run, "--finish") == 0
    told = capsys.readouterr().out
    assert f"{out / 'finished.pt'}: batch norm's statistics of 12 training images" in told
    best, finished = checkpoint.load(out / "best.pt"), checkpoint.load(out / "finished.pt")
    assert f"top-1 {best.metrics['top1_error']:.2f} before, {finished.metrics['top1_error']:.2f} after" in told
    changed = {name for name, value in finished.model.items() if not torch.equal(value, best.model[name])}
    assert changed == {name for name in best.model if name.endswith(("running_mean", "running_var"))}
    assert (finished.step, finished.task, finished.class_ids, finished.resume) == (best.step, "cls", best.class_ids, {})
    assert set(finished.metrics) == set(best.metrics)
    assert {name: (out / name).read_bytes() for name in kept} == kept


def test_the_first_layers_statistics_are_of_every_training_image_in_its_own_colours(run, data):
    out = run[-1]
    assert tool(*run, "--finish") == 0
    model = build.open_model(out / "finished.pt").model
    images = loading.TestImages(open_records(f"tiny-imagenet:{data}:train"), 32, 32)
    (batch,) = loading.test_loader(images, 12, 0)
    with torch.inference_mode():
        reached = model.backbone.conv1(normalise(batch.images, model.mean, model.std)).double()
    bn = model.backbone.bn1
    torch.testing.assert_close(bn.running_mean, reached.mean((0, 2, 3)).float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(bn.running_var, reached.var((0, 2, 3), correction=0).float(), rtol=1e-4, atol=1e-5)


def test_as_many_images_as_asked_for_and_the_same_each_time(run, capsys):
    out = run[-1]
    found = []
    for _ in range(2):
        assert tool(*run, "train.batch_norm_images=8", "--finish") == 0
        assert "statistics of 8 training images" in capsys.readouterr().out
        found.append(checkpoint.load(out / "finished.pt"))
    assert found[0].config["train"]["batch_norm_images"] == 8
    assert all(torch.equal(value, found[1].model[name]) for name, value in found[0].model.items())


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["train.batch_norm_images=0"], 2, "train.batch_norm_images is 0: there is nothing to finish"),
        (["train.batch_norm=frozen"], 2, "the weights were fitted to the statistics that they have"),
        (["train.precision=fp16"], 2, "train.precision fp16 needs CUDA"),
        (["train.lr=1"], 1, "last.pt was trained with train.lr = 0.01, now 1.0: not the same run"),
        (["--out", "nowhere"], 1, "nowhere holds no run to finish"),
    ],
)
def test_what_cannot_be_finished_is_one_line_and_a_code(run, capsys, words, code, line):
    assert tool(*run, *words, "--finish", "--device", "cpu") == code
    assert line in one_line(capsys)


def test_a_run_that_has_not_ended_is_not_finished(run, capsys, tmp_path):
    words = [*run[:-1], tmp_path / "out"]
    assert tool(*words, "train.stop_epoch=1") == 0
    capsys.readouterr()
    assert tool(*words, "--finish") == 1
    assert "last.pt is of step 3 of 6: end the run first, with --resume" in one_line(capsys)
    assert not (tmp_path / "out" / "finished.pt").exists()
