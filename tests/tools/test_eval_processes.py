"""The evaluation commands over several processes give the numbers of one, also where some are left without an image."""

import json
import sys
from pathlib import Path

import pytest
import tiny_set
import tiny_voc
import torch
from detecting import write_weights

from resdet import cli
from resdet.build import build_classifier, build_localizer
from resdet.config import ClsConfig, LocConfig
from resdet.engine.checkpoint import Checkpoint, save
from resdet.settings import override, to_dict

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from several import together

MAINS = {task: tiny_set.main_of(f"eval_{task}") for task in ("cls", "loc", "det")}
TINY = ("data.size=32", "data.resize=32", "data.workers=0", "model.backbone.depth=18", "model.backbone.width=8",
        "model.backbone.stem=3x3", "train.precision=fp32")  # fmt: skip
BATCH = {"cls": 2, "loc": 4, "det": 2}  # of 6, 6 and 3 images: three batches, two, two
MORE = {
    "cls": ("--protocol", "10-crop"),
    "loc": ("--oracle", "--set", "test.protocol=dense", "test.scales=[32, 48]"),
    "det": ("--metric", "coco", "--errors", "--set", "test.score_threshold=0"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sets in ``labelled`` and ``boxed``, weights in ``<task>.pt``."""
    folder = tmp_path_factory.mktemp("processes")
    tiny_set.draw(folder / "labelled")
    tiny_voc.draw(folder / "boxed")
    torch.manual_seed(0)
    for task, kind, build, more in (
        ("cls", ClsConfig, build_classifier, ()),
        ("loc", LocConfig, build_localizer, ("model.neck=8", "model.anchor_sizes=[16]")),
    ):
        config = override(kind, {}, (*TINY, *more), "test")
        ids = tiny_set.WNIDS
        save(folder / f"{task}.pt", Checkpoint(task, to_dict(config), ids, ids, 1, build(config, 3).state_dict()))
    write_weights(folder / "det.pt", tiny_voc.CLASSES, lift=0.0)
    return folder


def evaluate(folder, task, processes, out):
    """The metrics, and what was printed by all processes."""
    spec = f"voc:{folder / 'boxed'}:val" if task == "det" else f"tiny-imagenet:{folder / 'labelled'}:val"
    words = ["--weights", folder / f"{task}.pt", "--data", spec, "--json", out / "metrics.json", *MORE[task]]
    words += ["--batch-size", BATCH[task], "--device", "cpu"]
    if task == "cls":
        words[1:2] = [folder / "cls.pt", folder / "loc.pt"]  # together, each at its own
    if task == "loc":
        words += ["--classifier", folder / "cls.pt"]
    out.mkdir()

    def work(rank):
        with (out / str(rank)).open("w") as sys.stdout:
            return cli.run(MAINS[task], [str(word) for word in words])

    together(processes, work)
    return json.loads((out / "metrics.json").read_text()), [(out / str(i)).read_text() for i in range(processes)]


@pytest.mark.parametrize("task", ["cls", "loc", "det"])
def test_several_processes_give_exactly_the_numbers_of_one_and_the_first_of_them_tells(folder, tmp_path, task):
    metrics, (told,) = evaluate(folder, task, 1, tmp_path / "one")
    assert metrics["images"] == (3 if task == "det" else 6)
    for processes in (2, 4):  # of four, one at least has no batch
        found, texts = evaluate(folder, task, processes, tmp_path / str(processes))
        assert found == metrics
        assert texts == [told, *[""] * (processes - 1)]


def test_an_image_that_one_process_cannot_read_stops_all_of_them_each_with_a_line(tmp_path, folder):
    tiny_voc.draw(tmp_path / "set")
    (tmp_path / "set/JPEGImages/val2.png").write_text("no image")  # in the second batch, the second process's
    words = ["--weights", str(folder / "det.pt"), "--data", f"voc:{tmp_path / 'set'}:val", "--device", "cpu"]

    def work(rank):
        with (tmp_path / str(rank)).open("w") as sys.stderr:
            return cli.run(MAINS["det"], words)

    with pytest.raises(AssertionError, match=r"exit codes \[1, 1\]"):
        together(2, work)
    lines = [(tmp_path / str(rank)).read_text().splitlines() for rank in (0, 1)]
    assert "val2.png" in lines[1][0]
    assert "another process of this run has failed or was killed" in lines[0][-1]
    assert [len(said) for said in lines] == [1, 1]
