"""A pipe that nobody reads any more, as ``| head -1`` leaves it, costs no file."""

import sys
from io import StringIO

import pytest
import tiny_set
import tiny_voc


class Gone(StringIO):
    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


def unheard(monkeypatch, tool, *words):
    """The exit code where each word printed is one too many."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Gone())
        return tiny_set.run(tool, *words)


@pytest.mark.parametrize("tool", ["eval_cls", "eval_loc"])
def test_errors_of_localization_and_classification_are_written_first(tmp_path, monkeypatch, capsys, tool):
    data = tiny_set.draw(tmp_path / "set")
    (tmp_path / "p.txt").write_text("1 0 0 9 9\n" * tiny_set.VAL_IMAGES * len(tiny_set.WNIDS))
    words = ["--predictions", tmp_path / "p.txt", "--data", f"tiny-imagenet:{data}:val"]
    assert unheard(monkeypatch, tool, *words, "--json", tmp_path / "m.json", "--out", tmp_path / "out") == 1
    assert "Broken pipe" in capsys.readouterr().err
    assert (tmp_path / "m.json").read_text() == (tmp_path / "out" / "eval.json").read_text() > ""


def test_a_detectors_metrics_and_a_sets_faults_are_written_first(tmp_path, monkeypatch):
    root = tiny_voc.draw(tmp_path / "set")
    (tmp_path / "p.jsonl").write_text("")
    words = ["--predictions", tmp_path / "p.jsonl", "--data", f"voc:{root}:val", "--json", tmp_path / "m.json"]
    assert unheard(monkeypatch, "eval_det", *words) == 1
    assert (tmp_path / "m.json").read_text() > ""
    files = [tmp_path / "f.json", tmp_path / "f.html", tmp_path / "fixed"]
    words = [f"voc:{root}:val", "--json", files[0], "--html", files[1], "--fix", files[2]]
    assert unheard(monkeypatch, "check_data", *words) == 1
    assert all(file.exists() for file in files)
