"""The package as pip installs it, away from the checkout."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

TREE = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_wheel_is_of_any_machine_and_holds_every_module_and_list(tmp_path):
    made = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."]
    copy = tmp_path / "tree"
    for name in ("setup.py", "pyproject.toml", "README.md", "resdet"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-r", str(TREE / name), str(copy / name)], check=True)
    subprocess.run(made, cwd=copy, check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    held = set(ZipFile(wheel).namelist())
    for file in (TREE / "resdet").rglob("*"):
        if file.suffix in (".py", ".txt", ".typed"):
            assert file.relative_to(TREE).as_posix() in held
    assert "resdet/py.typed" in held  # without it a user's mypy does not look at our types
