"""What training starts from: files of ours that say what they are, and files of others that do not."""

import numpy as np
import pytest
import torch

from resdet import build
from resdet.config import ClsConfig, override, to_dict
from resdet.data.records import Classes
from resdet.engine import checkpoint
from resdet.engine.checkpoint import Checkpoint
from resdet.errors import InputError

IDS = ("a", "b", "c", "d")
SMALL = ("model.backbone.depth=18", "model.backbone.width=8", "data.size=32")


def classifier(*words):
    config = override(ClsConfig, {}, (*SMALL, *words), "test")
    return config, build.build_classifier(config, len(IDS)).eval()


def saved(file, *words):
    """A classifier of four classes, its batch norm not what it starts as; its checkpoint is ``file``."""
    config, model = classifier(*words)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
    checkpoint.save(file, Checkpoint("cls", to_dict(config), IDS, IDS, 5, model.state_dict()))
    return model


def started(file, *words, ids=IDS):
    """Another classifier, of other settings, that starts from ``file``."""
    config, model = classifier(*words, f"model.backbone.weights={file}")
    build.load_backbone(model.backbone, config.model.backbone, config.data, Classes(ids, ids))
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
