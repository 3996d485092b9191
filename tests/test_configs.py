from pathlib import Path

import pytest

from resdet.config import ClsConfig, LocConfig, load_config

CONFIGS = Path(__file__).parents[1] / "configs"
KINDS = {"cls": ClsConfig, "loc": LocConfig}
SHIPPED = sorted(CONFIGS.rglob("*.y*ml"))


def test_configs_are_found_in_every_folder():
    assert {file.parent.name for file in SHIPPED} == set(KINDS)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.relative_to(CONFIGS).as_posix())
def test_every_shipped_config_loads_and_sets_something(file):
    kind = KINDS[file.parent.name]
    assert load_config(kind, file) != kind()


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.relative_to(CONFIGS).as_posix())
def test_every_shipped_config_shows_its_command(file):
    header = "".join(line for line in file.read_text().splitlines(keepends=True) if line.startswith("#"))
    assert (
        f"tools/train_{file.parent.name}.py configs/{file.parent.name}/{file.name}" in header or "make demo" in header
    )
