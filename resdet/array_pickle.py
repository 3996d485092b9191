"""Pickles of numpy arrays and plain types, as detectron and detectron2 publish weights, read without running them.

A pickle is a program: it names functions of any module and calls them.  Here every name but the few that arrays are
made of is refused, and not even those are numpy's own: they are stand-ins that only note what was asked for, so that
no foreign code sees a byte of the file.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np
import torch

from resdet.errors import InputError

NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "f2", "f4", "f8")  # numpy's names of what torch has too


def read_array_pickle(file: Path) -> Any:
    """What a pickle holds: dicts, lists, strings, numbers, and tensors where it has arrays.

    Strings of Python 2, in which the oldest of these files are written, are read as latin-1.

    Raises:
        InputError: it asks for anything else, the class or function of which is named and not run.
        Exception: any other, where it is damaged.
    """
    with file.open("rb") as stream:
        found = _Unpickler(stream, file).load()
    return _with_tensors(found, {})


class _Unpickler(pickle._Unpickler):  # type: ignore[name-defined]
    """Python's unpickler in Python: the one in C trusts memo numbers, and allocates 60 GB for a bad one."""

    read: Callable[[int], bytes]  # set by load(), as is append
    append: Callable[[Any], None]

    def __init__(self, stream: Any, file: Path) -> None:
        super().__init__(stream, encoding="latin1")
        self.file = file

    def load_bytearray8(self) -> None:
        """Python's own allocates the announced length before it reads."""
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(length)))

    dispatch: ClassVar[dict[int, Any]] = {**pickle._Unpickler.dispatch, pickle.BYTEARRAY8[0]: load_bytearray8}  # type: ignore[name-defined]

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in KNOWN:
            return KNOWN[module, name]
        raise InputError(
            f"{self.file}: refused, wanted arrays and plain types only, got {module}.{name}, which could run code"
        )

    def persistent_load(self, pid: Any) -> NoReturn:
        raise InputError(f"{self.file}: refused, wanted arrays and plain types only, got a reference to another file")


class _Kind:
    """``numpy.dtype``'s stand-in: a kind of number, told by its name and, in a second step, its byte order."""

    def __init__(self, name: str) -> None:
        if name not in NUMBERS:
            raise ValueError(f"an array of {name}, wanted numbers")
        self.numpy = np.dtype(name)

    def __setstate__(self, state: tuple) -> None:
        if state[1] not in ("<", ">", "|", "="):
            raise ValueError(f"byte order {state[1]!r}")
        self.numpy = self.numpy.newbyteorder(state[1])


class _Array:
    """``numpy.ndarray``'s stand-in, empty until its numbers come."""

    tensor: torch.Tensor | None = None

    def __setstate__(self, state: tuple) -> None:
        shape, kind, columns_first, data = state[-4:]  # before them the format's version, but for the oldest
        self.tensor = _tensor(data, kind, shape, "F" if columns_first else "C")


def _tensor(data: Any, kind: _Kind, shape: tuple[int, ...], order: str) -> torch.Tensor:
    raw = data.encode("latin1") if isinstance(data, str) else data  # Python 2 has no bytes
    numbers = np.frombuffer(raw, kind.numpy).reshape(shape, order="F" if order == "F" else "C")
    return torch.from_numpy(numbers.astype(kind.numpy.newbyteorder("="), order="C"))  # a copy: of the machine's order


class _Call:
    """What a pickle may call.  Unlike a Python function, it has no ``__dict__`` that the pickle could write to."""

    __slots__ = ()


class _Reconstruct(_Call):
    __slots__ = ()

    def __call__(self, kind: object, shape: object, number: object) -> _Array:
        return _Array()  # shape and kind are preliminary; the true ones come with the numbers


class _FromBuffer(_Call):
    __slots__ = ()

    def __call__(self, data: bytes, kind: _Kind, shape: tuple[int, ...], order: str) -> _Array:
        array = _Array()
        array.tensor = _tensor(data, kind, shape, order)
        return array


class _Scalar(_Call):
    __slots__ = ()

    def __call__(self, kind: _Kind, data: bytes) -> Any:
        return _tensor(data, kind, (), "C").item()


class _Dtype(_Call):
    __slots__ = ()

    def __call__(self, name: str, align: object = False, copy: object = True) -> _Kind:
        return _Kind(name)


class _Encode(_Call):
    """Bytes in the pickles of protocol 2 and below."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        return text.encode("latin1")


class _NoBytes(_Call):
    """The same, where there are none."""

    __slots__ = ()

    def __call__(self) -> bytes:
        return b""


class _Dict(_Call):
    """A plain dict in place of an ``OrderedDict``, whose attributes a pickle could set."""

    __slots__ = ()

    def __call__(self, items: Any = ()) -> dict:
        return dict(items)


KNOWN: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): _Dict(),
    ("_codecs", "encode"): _Encode(),
    ("__builtin__", "bytes"): _NoBytes(),
    ("numpy", "dtype"): _Dtype(),
    ("numpy", "ndarray"): None,  # an argument of _reconstruct, never called
}
for _package in ("numpy.core", "numpy._core"):  # the second from numpy 2 on
    KNOWN[f"{_package}.multiarray", "_reconstruct"] = _Reconstruct()
    KNOWN[f"{_package}.multiarray", "scalar"] = _Scalar()
    KNOWN[f"{_package}.numeric", "_frombuffer"] = _FromBuffer()


def _with_tensors(value: Any, done: dict[int, Any]) -> Any:
    """``value`` with tensors for the stand-ins of arrays; ``done``: visited containers, as one may hold itself."""
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, _Array):
        if value.tensor is None:
            raise ValueError("an array without numbers")
        return value.tensor
    if isinstance(value, dict):
        done[id(value)] = value
        value.update({key: _with_tensors(inner, done) for key, inner in value.items()})
    elif isinstance(value, list):
        done[id(value)] = value
        value[:] = [_with_tensors(inner, done) for inner in value]
    elif isinstance(value, tuple):
        done[id(value)] = tuple(_with_tensors(inner, done) for inner in value)
        return done[id(value)]
    elif not isinstance(value, str | bytes | bool | int | float | None):
        raise ValueError(f"wanted arrays and plain types only, got {type(value).__name__}")
    return value
