"""The paper's CIFAR recipe from the authors' files to an error, on a few images."""

from pathlib import Path

import numpy as np
import pytest
from tiny_set import main_of

from resdet import cli
from resdet.data.formats import cifar10

CONFIG = """
data: {size: 32, resize: 32, workers: 0}
augment: {crop: pad, pad: 4, pca_lighting: 0.0}
model: {backbone: {family: cifar, depth: 20}}
train: {epochs: 1, batch_size: 5, lr: 0.01, schedule: cosine, warmup_epochs: 0, lr_drop_epochs: [], eval_every: 1}
"""


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(cifar10, "IMAGES", 4)
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in (*cifar10.BATCHES["train"], *cifar10.BATCHES["test"]):
        rows = rng.integers(0, 256, (4, 3073), dtype=np.uint8)
        rows[:, 0] %= 10
        (folder / f"{name}.bin").write_bytes(rows.tobytes())
    return tmp_path


def test_a_cifar_net_is_trained_and_tested_on_the_single_original_view(root, capsys):
    (root / "recipe.yaml").write_text(CONFIG)
    specs = [f"data.train=cifar10:{root}:train", f"data.val=cifar10:{root}:test"]
    words = [str(root / "recipe.yaml"), *specs, "--out", str(root / "run"), "--device", "cpu"]
    assert cli.run(main_of("train_cls"), words) == 0
    words = ["--weights", str(root / "run" / "best.pt"), "--data", f"cifar10:{root}:test", "--device", "cpu"]
    assert cli.run(main_of("eval_cls"), [*words, "--workers", "0"]) == 0
    assert "4 images" in capsys.readouterr().out
