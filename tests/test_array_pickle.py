"""Pickles written by numpy itself come back; whatever else a pickle may hold ends in our own error."""

import builtins
import os
import pickle
import resource
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resdet.array_pickle import KNOWN, read_array_pickle
from resdet.errors import InputError
from resdet.tensor_file import read_tensors

ARRAYS = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "by columns": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "other byte order": np.arange(4, dtype=">f4"),
    "half": np.array([0.5, -2], dtype=np.float16),
    "counter": np.array(7),
    "flags": np.array([True, False]),
    "empty": np.zeros((0, 4), dtype=np.float32),
}
# What Python 2 and numpy 1 wrote for {"w": np.array([1, 2], np.float32)}, protocol 2: text where bytes are meant.
PYTHON_2 = (
    b"\x80\x02}q\x01U\x01wq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87R"
    b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    b"\x89U\x08\x00\x00\x80\x3f\x00\x00\x00\x40tbs."
)


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def read(content: bytes, folder: Path):
    file = folder / "w.pkl"
    file.write_bytes(content)
    return read_array_pickle(file)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_scalars_and_plain_types_come_back_from_every_protocol(tmp_path, protocol):
    content = {
        "model": OrderedDict(ARRAYS),
        "__author__": "Zoë",
        "matching_heuristics": True,
        "numbers": [1, 2.5, None, (3, "x"), np.float32(0.25), np.int64(9)],
    }
    back = read(pickle.dumps(content, protocol), tmp_path)
    assert back["numbers"] == [1, 2.5, None, (3, "x"), 0.25, 9]
    assert (back["__author__"], back["matching_heuristics"]) == ("Zoë", True)
    assert type(back["model"]) is dict
    for name, array in ARRAYS.items():
        tensor = back["model"][name]
        assert isinstance(tensor, torch.Tensor), name
        assert np.array_equal(tensor.numpy(), array), name
        assert tensor.shape == array.shape, name


def test_a_file_from_python_2_comes_back(tmp_path):
    assert read(PYTHON_2, tmp_path)["w"].tolist() == [1.0, 2.0]


def test_code_is_refused_by_name_and_not_run(tmp_path):
    ran = tmp_path / "ran"
    calls = {
        "system": Calls(os.system, f"touch {ran}"),
        "eval": Calls(builtins.eval, f"open({str(ran)!r}, 'w')"),
        "_rebuild_tensor": Calls(torch._utils._rebuild_tensor, 1, 2, 3, 4),
        "fromfile": Calls(np.fromfile, str(ran)),
        "Linear": Calls(torch.nn.Linear, 1, 1),
        "set": {1, 2, 3},
    }
    for name, call in calls.items():
        for protocol in (0, 2):
            with pytest.raises(InputError, match=rf"w\.pkl: refused, wanted arrays and plain types only, got .*{name}"):
                read(pickle.dumps({"w": call}, protocol), tmp_path)
    assert not ran.exists()


def test_a_known_name_reaches_nothing_behind_it(tmp_path):
    """Names of protocol 4 may have dots: ``OrderedDict.__init__.__globals__`` would lead anywhere."""
    for name in ("OrderedDict.fromkeys", "OrderedDict.__init__"):
        content = b"\x80\x04\x8c\x0bcollections\x8c" + bytes([len(name)]) + name.encode() + b"\x93."
        with pytest.raises(InputError, match=f"got collections.{name}"):
            read(content, tmp_path)


def test_the_stand_ins_take_no_attributes(tmp_path):
    """BUILD sets attributes of whatever lies on the stack, for good where that is a function or a class."""
    build = b"}\x8c\x08__call__\x8c\x01xs\x86b."  # (None, {"__call__": "x"})
    for module, name in KNOWN:
        with pytest.raises(AttributeError, match="__call__"):
            read(f"c{module}\n{name}\n".encode() + b"N" + build, tmp_path)
    assert read(PYTHON_2, tmp_path)["w"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "array", [np.array(["a"]), np.array([object()], dtype=object), np.zeros(1, "f4,i4"), np.zeros(1, "M8[s]")]
)
def test_arrays_of_anything_but_numbers_are_refused(tmp_path, array):
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"w": array}))
    with pytest.raises(InputError, match=r"w\.pkl: (damaged.*wanted numbers|refused)"):
        read_tensors(tmp_path / "w.pkl")


def test_an_array_whose_shape_is_not_that_of_its_numbers_is_damaged(tmp_path):
    content = PYTHON_2.replace(b"(K\x01K\x02\x85", b"(K\x01K\x09\x85")
    with pytest.raises(ValueError, match="reshape"):
        read(content, tmp_path)


def test_what_holds_itself_or_the_same_thing_many_times_is_read_once(tmp_path):
    inner = [np.zeros(1)]
    for _ in range(60):  # 2 ** 60 arrays, if each were visited
        inner = [inner, inner]
    loop: list = []
    loop.append(loop)
    back = read(pickle.dumps([inner, loop]), tmp_path)
    assert back[1][0] is back[1]


def test_a_wild_place_in_the_memo_costs_no_memory(tmp_path):
    (tmp_path / "w.pkl").write_bytes(b"\x80\x02}r" + struct.pack("<I", 2**31) + b".")
    assert read_tensors(tmp_path / "w.pkl") == {}


def test_bytes_that_are_announced_and_are_not_there_cost_no_memory(tmp_path):
    """Four flipped bits are enough for a file of 200 bytes to ask for gigabytes."""
    (tmp_path / "w.pkl").write_bytes(b"\x80\x05\x96" + struct.pack("<Q", 3 * 2**30) + b".")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"w\.pkl: damaged"):
        read_tensors(tmp_path / "w.pkl")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # kB


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_file_with_wrong_bytes_ends_in_values_or_in_our_own_error(tmp_path, data):
    good = data.draw(st.sampled_from([PYTHON_2, *(pickle.dumps(ARRAYS, p) for p in (0, 4, 5))]))
    content = bytearray(good[: data.draw(st.integers(0, len(good)))] if data.draw(st.booleans()) else good)
    for _ in range(data.draw(st.integers(0, 6)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "w.pkl").write_bytes(content)
    try:
        read_tensors(tmp_path / "w.pkl")
    except InputError as error:
        assert str(error).startswith(str(tmp_path / "w.pkl"))
