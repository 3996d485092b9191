"""Names that files give of other files: which stay inside the data set, and that millions of them cost little."""

from itertools import product

import pytest

from resdet.data.formats import named_files
from resdet.errors import InputError

USUAL = (
    "n01440764/n01440764_10026",
    "ILSVRC2013_train/n02672831/n02672831_7211",
    "ILSVRC2014_train_0000/ILSVRC2014_train_00000001",
    "000000000139.jpg",
)


@pytest.mark.parametrize("name", USUAL)
def test_the_usual_names_are_told_without_taking_paths_apart(name, monkeypatch):
    monkeypatch.setattr(named_files, "PureWindowsPath", None)  # it would be called
    assert named_files.inside(name, "list:1") == name


def test_what_is_told_at_once_is_what_the_closer_look_would_take(monkeypatch):
    names = ["".join(letters) for length in range(1, 6) for letters in product("a./\\: ", repeat=length)]
    names += ["a" * length + end for length in (99, 100, 101, 254, 255, 256) for end in ("", "/b", ".jpg", "\n")]

    def taken(name):
        try:
            return named_files.inside(name, "list:1") == name
        except InputError:
            return False

    found = [name for name in names if taken(name)]
    monkeypatch.setattr(named_files, "_PLAIN", named_files.re.compile("(?!)"))
    assert found == [name for name in names if taken(name)]
    assert "a/a" in found and "a/.." not in found
