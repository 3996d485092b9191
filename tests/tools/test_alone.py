"""Scripts whose work is not shared out: of several processes the first works, and the others end quietly."""

import os

import pytest
import tiny_set

WORDS = {
    "benchmark": ["--device", "nowhere", "--json", "new/x"],
    "check_data": ["folder:nowhere", "--json", "new/x"],
    "export": ["--weights", "nowhere.pt", "--out", "new/x.safetensors"],
    "plot_runs": ["nowhere", "--out", "new/x.png"],
}


def as_one_of_two(monkeypatch, rank):
    for name, value in (("WORLD_SIZE", "2"), ("RANK", rank), ("LOCAL_RANK", rank)):
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("tool", WORDS)
def test_the_second_ends_and_touches_nothing(tmp_path, monkeypatch, capsys, tool):
    monkeypatch.chdir(tmp_path)
    as_one_of_two(monkeypatch, "1")
    assert tiny_set.run(tool, *WORDS[tool]) == 0
    assert capsys.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("tool", ["check_data", "export", "plot_runs"])
def test_the_first_works_as_if_it_were_alone(tmp_path, monkeypatch, capsys, tool):
    monkeypatch.chdir(tmp_path)
    as_one_of_two(monkeypatch, "0")
    assert tiny_set.run(tool, *WORDS[tool]) == 1  # of what it was given nothing is there
    assert "nowhere" in "".join(capsys.readouterr())
    assert "WORLD_SIZE" not in os.environ
