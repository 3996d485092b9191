import errno
import os
import pickle
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_training import TinyNet

from resdet.engine import checkpoint
from resdet.engine.checkpoint import Checkpoint, load, save
from resdet.errors import InputError

SAVED = Checkpoint(
    "loc",
    {"train": {"lr": 0.1, "sizes": [[0.0, 64]]}},
    ("n01", "n02"),
    ("tench", "goldfish"),
    7,
    TinyNet().state_dict(),
    {"loss": 1.5, "error": float("nan")},
    {"best": 1.0, "model": {"w": torch.ones(2)}},
)


def refusal(file):
    with pytest.raises(InputError) as caught:
        load(file)
    text = str(caught.value)
    assert text.startswith(str(file))
    assert "\n" not in text
    assert len(text) < len(str(file)) + 250
    return text


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    save(tmp_path / "new folder" / "x.pt", SAVED)
    back = load(tmp_path / "new folder" / "x.pt")
    for name in ("task", "config", "class_ids", "class_names", "step"):
        assert getattr(back, name) == getattr(SAVED, name)
    assert back.metrics["loss"] == 1.5
    assert back.resume["best"] == 1.0
    assert all(torch.equal(back.model[k], v) for k, v in SAVED.model.items())
    assert [file.name for file in (tmp_path / "new folder").iterdir()] == ["x.pt"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO])
def test_a_disk_that_does_not_flush_folders_keeps_checkpoints_and_one_that_fails_is_told(tmp_path, monkeypatch, code):
    fsync = os.fsync

    def of_files_alone(fd):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", of_files_alone)
    if code == errno.EIO:
        with pytest.raises(OSError, match="Input/output error"):
            save(tmp_path / "x.pt", SAVED)
        return
    save(tmp_path / "x.pt", SAVED)
    assert load(tmp_path / "x.pt").step == SAVED.step


OF_ANOTHER_KIND = [
    *(("task", 3), ("config", []), ("step", "7"), ("metrics", None), ("resume", [])),
    *(("class_ids", 2), ("class_ids", ("n01", 2)), ("class_ids", (["n01"], ["n02"])), ("class_ids", ("n01", "n01"))),
    *(("class_names", None), ("class_names", ("tench",)), ("class_names", ("tench", 3))),
    *(("model", {"fc.bias": 1.0}), ("model", {1: torch.zeros(1)})),
]


@pytest.mark.parametrize(("name", "value"), OF_ANOTHER_KIND, ids=str)
def test_what_is_of_another_kind_is_named(tmp_path, name, value):
    torch.save({"format": 1, **vars(SAVED), name: value}, tmp_path / "x.pt")
    assert f"its {name!r} is not as it is written here" in refusal(tmp_path / "x.pt")


def test_safetensors_come_back_too_without_what_resuming_needs(tmp_path):
    save(tmp_path / "x.safetensors", SAVED)
    back = load(tmp_path / "x.safetensors")
    for name in ("task", "config", "class_ids", "class_names", "step"):
        assert getattr(back, name) == getattr(SAVED, name)
    assert back.metrics == {"loss": 1.5, "error": None}  # JSON has no NaN
    assert back.resume == {}
    assert all(torch.equal(back.model[k], v) for k, v in SAVED.model.items())
    assert [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]


def test_safetensors_that_nothing_or_nonsense_describes_are_refused(tmp_path):
    file = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, file)
    assert "torchvision:NAME=" in refusal(file)
    for header, said in (
        ("{", "not JSON"),
        ("3", "wanted an object"),
        ('{"format": 1}', "without task"),
        ("[" * 9999, ""),
    ):
        save_file({"a": torch.zeros(1)}, file, {"resdet": header})
        assert said in refusal(file)
    save_file({"a": torch.zeros(1)}, file, {"resdet": '{"format": 2}'})
    assert "a checkpoint of format 2" in refusal(file)
    file.write_bytes(b"\xff" * 100)
    assert "damaged" in refusal(file)


def test_anyone_can_read_it_without_running_code(tmp_path):
    save(tmp_path / "x.pt", SAVED)
    content = torch.load(tmp_path / "x.pt", weights_only=True)
    assert content["class_names"] == ("tench", "goldfish")


def test_numbers_of_numpys_are_saved_as_pythons(tmp_path):
    save(tmp_path / "x.pt", replace(SAVED, metrics={"error": np.float64(2.5), "ci": {"n": np.int64(3)}}))
    metrics = load(tmp_path / "x.pt").metrics
    assert metrics == {"error": 2.5, "ci": {"n": 3}}
    assert (type(metrics["error"]), type(metrics["ci"]["n"])) == (float, int)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_save_that_is_cut_off_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch, error):
    file = tmp_path / "x.pt"
    save(file, SAVED)

    def half(content, stream):
        stream.write(b"half of it")
        raise error

    monkeypatch.setattr(checkpoint.torch, "save", half)
    with pytest.raises(type(error)):
        save(file, replace(SAVED, step=8))
    assert load(file).step == 7
    assert [f.name for f in tmp_path.iterdir()] == ["x.pt"]


def test_a_killed_saves_leftover_is_written_over(tmp_path):
    (tmp_path / "x.pt.part").write_bytes(b"half of it")
    save(tmp_path / "x.pt", SAVED)
    assert [f.name for f in tmp_path.iterdir()] == ["x.pt"]


def test_files_that_are_no_checkpoint_are_refused_each_with_its_reason(tmp_path):
    save(tmp_path / "good.pt", SAVED)
    good = (tmp_path / "good.pt").read_bytes()
    contents = {
        "empty.pt": b"",
        "half.pt": good[: len(good) // 2],
        "text.pt": b"train: {}\n",
        "zeros.pt": bytes(1000),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert "damaged" in refusal(tmp_path / name)
    assert "no such file" in refusal(tmp_path / "missing.pt")
    assert "a folder" in refusal(tmp_path)


def test_one_changed_byte_of_the_weights_is_noticed(tmp_path):
    save(tmp_path / "x.pt", SAVED)
    content = bytearray((tmp_path / "x.pt").read_bytes())
    at = content.find(SAVED.model["conv.weight"].numpy().tobytes())
    content[at + 3] ^= 0x40
    (tmp_path / "x.pt").write_bytes(content)
    assert "damaged" in refusal(tmp_path / "x.pt")


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("bomb went off"),)


def test_a_file_that_holds_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 1, "model": Bomb()}, tmp_path / "zip.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb()))
    assert "got getattr, which could run code" in refusal(tmp_path / "zip.pt")
    assert "not a file of weights" in refusal(tmp_path / "plain.pt")
    assert not (tmp_path / "bomb went off").exists()


def test_other_peoples_files_are_told_what_they_are(tmp_path):
    torch.save(TinyNet().state_dict(), tmp_path / "state.pt")
    assert "torchvision:NAME=" in refusal(tmp_path / "state.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    assert "not a checkpoint of resdet's" in refusal(tmp_path / "list.pt")
    torch.save({"format": 2, "model": {}}, tmp_path / "newer.pt")
    assert "a checkpoint of format 2, this version reads 1" in refusal(tmp_path / "newer.pt")
    torch.save({"format": 1, "model": {}}, tmp_path / "bare.pt")
    assert "without task" in refusal(tmp_path / "bare.pt")
    torch.save({"format": 1, **vars(SAVED), "model": 3}, tmp_path / "odd.pt")
    assert "without weights" in refusal(tmp_path / "odd.pt")


def test_what_a_later_version_adds_is_left_aside(tmp_path):
    torch.save({"format": 1, **vars(SAVED), "author": "someone"}, tmp_path / "x.pt")
    assert load(tmp_path / "x.pt").step == 7
