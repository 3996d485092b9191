"""Scripts whose work is not shared out refuse to be started several times at once, before anything is written."""

import pytest
import tiny_set


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("benchmark", ["--device", "nowhere", "--json", "new/x"]),
        ("check_data", ["folder:nowhere", "--json", "new/x"]),
        ("export", ["--weights", "nowhere.pt", "--out", "new/x.safetensors"]),
        ("plot_runs", ["nowhere", "--out", "new/x.png"]),
    ],
)
@pytest.mark.parametrize("rank", ["0", "1"])
def test_one_of_several_processes_refuses(tmp_path, monkeypatch, capsys, tool, words, rank):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", rank)
    assert tiny_set.run(tool, *words) == 2
    out, err = capsys.readouterr()
    assert err.endswith("runs as one process: start it with python, not with torchrun\n")
    assert not out
    assert not list(tmp_path.iterdir())
