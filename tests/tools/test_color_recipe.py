"""The colours of a data set, from the script that takes them to a classifier that carries them."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tiny_set import draw, main_of, specs

from resdet import cli
from resdet.build import open_model
from resdet.config import ClsConfig
from resdet.settings import from_dict

sys.path.insert(0, str(Path(__file__).parents[2] / "datasets"))
colors_main = import_module("color_statistics").main

CONFIG = """
data: {size: 32, resize: 32, workers: 0}
augment: {crop: pad, pad: 4, pca_lighting: 0.1}
model: {backbone: {family: cifar, depth: 20}}
train: {epochs: 1, batch_size: 4, lr: 0.01, schedule: cosine, warmup_epochs: 0, lr_drop_epochs: [], eval_every: 1}
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return draw(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def taken(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("colors")
    spec = f"tiny-imagenet:{data}:train"
    words = [spec, "--size", "32", "--out", out / "colors.yaml", "--pixel-mean", out / "mean.npy", "--workers", "0"]
    assert cli.run(colors_main, [str(word) for word in words]) == 0
    return out


def test_the_script_writes_settings_that_a_config_takes(taken, data):
    settings = yaml.safe_load((taken / "colors.yaml").read_text())
    config = from_dict(ClsConfig, settings, "test")
    files = sorted((data / "train").rglob("*.JPEG"))
    small = [np.asarray(Image.open(file).resize((32, 32), Image.Resampling.BILINEAR)) for file in files]
    pixels = np.stack(small).reshape(-1, 3)  # the images are 64x64
    np.testing.assert_allclose(config.data.mean, pixels.mean(0), atol=0.2)
    np.testing.assert_allclose(config.data.std, pixels.std(0), rtol=0.01)
    np.testing.assert_allclose(config.augment.pca_values, np.linalg.eigvalsh(np.cov(pixels.T / 255))[::-1], rtol=0.02)
    assert config.data.pixel_mean == str(taken / "mean.npy")


def test_some_images_are_enough_where_so_many_are_asked_for(data, tmp_path, capsys):
    words = [f"tiny-imagenet:{data}:train", "--images", "5", "--size", "16", "--out", str(tmp_path / "c.yaml")]
    assert cli.run(colors_main, [*words, "--workers", "0"]) == 0
    assert "colours of 5 images" in capsys.readouterr().out


def test_a_classifier_trained_with_all_of_it_needs_no_file_afterwards(taken, data, tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text(CONFIG)
    mean = tmp_path / "mean.npy"
    mean.write_bytes((taken / "mean.npy").read_bytes())
    words = [str(tmp_path / "recipe.yaml"), *specs(data), f"data.pixel_mean={mean}", "--out", str(tmp_path / "run")]
    assert cli.run(main_of("train_cls"), [*words, "--device", "cpu"]) == 0
    mean.unlink()
    for overrides in ((), ("data.size=48", "data.resize=48")):
        model = open_model(tmp_path / "run" / "best.pt", overrides).model
        torch.testing.assert_close(model.mean, torch.from_numpy(np.load(taken / "mean.npy")))
    evaluate = ["--weights", str(tmp_path / "run" / "best.pt"), "--data", f"tiny-imagenet:{data}:val"]
    for protocol in ("1-crop", "dense"):
        scales = ["--set", "test.scales=[32, 48]", "--workers", "0", "--device", "cpu"]
        assert cli.run(main_of("eval_cls"), [*evaluate, "--protocol", protocol, *scales]) == 0
    assert cli.run(main_of("train_cls"), [*words, "--finish", "--device", "cpu"]) == 0
    assert "mean" in torch.load(tmp_path / "run" / "finished.pt", weights_only=True)["model"]


def test_a_missing_mean_image_is_one_line(data, tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text(CONFIG)
    words = [str(tmp_path / "recipe.yaml"), *specs(data), "data.pixel_mean=none.npy", "--out", str(tmp_path / "run")]
    assert cli.run(main_of("train_cls"), [*words, "--device", "cpu"]) == 1
    assert "none.npy: no such file; datasets/color_statistics.py makes" in capsys.readouterr().err
