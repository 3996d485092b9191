import os
import pickle
import zipfile
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from resdet.errors import InputError
from resdet.tensor_file import read_tensors

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2])}


class Payload:
    """Runs a command when a careless reader unpickles it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


def message(file: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_tensors(file)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(file))
    return text.removeprefix(f"{file}: ")


@pytest.mark.parametrize("zipped", [True, False])
def test_both_of_torchs_formats_come_back(tmp_path, zipped):
    torch.save({**WEIGHTS, "step": 3}, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    read = read_tensors(tmp_path / "w.pt")
    assert read.pop("step") == 3
    torch.testing.assert_close(read, WEIGHTS)


def test_safetensors_come_back(tmp_path):
    save_file(WEIGHTS, tmp_path / "w.safetensors")
    torch.testing.assert_close(read_tensors(tmp_path / "w.safetensors"), WEIGHTS)


def test_a_pickle_of_arrays_comes_back_as_tensors_and_so_does_what_torch_saves_under_that_ending(tmp_path):
    arrays = {name: value.numpy() for name, value in WEIGHTS.items()}
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(arrays))
    torch.testing.assert_close(read_tensors(tmp_path / "w.pkl"), WEIGHTS)
    torch.save(WEIGHTS, tmp_path / "t.pkl")
    torch.testing.assert_close(read_tensors(tmp_path / "t.pkl"), WEIGHTS)


def test_a_file_that_holds_code_is_refused_in_one_line_and_the_code_not_run(tmp_path):
    ran = tmp_path / "ran"
    torch.save({"a": Payload(ran)}, tmp_path / "torch.pt")
    (tmp_path / "bare.pkl").write_bytes(pickle.dumps(Payload(ran)))
    assert message(tmp_path / "torch.pt") == (
        f"refused, wanted tensors and plain types only, got {os.system.__module__}.system, which could run code"
    )
    assert message(tmp_path / "bare.pkl") == (
        f"refused, wanted arrays and plain types only, got {os.system.__module__}.system, which could run code"
    )
    assert not ran.exists()


def test_objects_beside_the_weights_are_named(tmp_path):
    torch.save({"model": WEIGHTS, "args": Namespace(lr=0.1)}, tmp_path / "w.pt")
    assert "got argparse.Namespace" in message(tmp_path / "w.pt")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pt")
    assert "got torch.nn.modules.linear.Linear" in message(tmp_path / "whole.pt")


def test_a_file_that_was_cut_off_or_is_something_else_is_said_to_be_damaged(tmp_path):
    torch.save({"a": torch.zeros(1000)}, tmp_path / "whole.pt")
    contents = {
        "cut.pt": (tmp_path / "whole.pt").read_bytes()[:2000],
        "empty.pt": b"",
        "page.pt": b"<html>not found</html>",
        "bad.safetensors": b"0123456789",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert message(tmp_path / name).startswith("damaged, or not a file of weights"), name


def test_a_file_that_is_not_there_and_a_folder_are_told_apart(tmp_path):
    assert message(tmp_path / "none.pt") == "wanted a file of weights, got no such file"
    assert message(tmp_path) == "wanted a file of weights, got a folder"


def test_a_packed_file_that_would_fill_the_memory_is_refused_before_it_is_unpacked(tmp_path):
    torch.save({"w": torch.zeros(2**22)}, tmp_path / "w.pt")
    for packing, name in ((zipfile.ZIP_STORED, "plain.pt"), (zipfile.ZIP_DEFLATED, "packed.pt")):
        with zipfile.ZipFile(tmp_path / "w.pt") as parts, zipfile.ZipFile(tmp_path / name, "w", packing) as other:
            for part in parts.infolist():
                other.writestr(part.filename, parts.read(part))
    assert len(read_tensors(tmp_path / "plain.pt")["w"]) == 2**22
    with pytest.raises(InputError, match=r"packed\.pt: refused, it would unpack to 16 MB"):
        read_tensors(tmp_path / "packed.pt")
