"""Table 9's rows for given detectors: which are there, how each is tested, and the table."""

import argparse

import numpy as np
import pytest
from PIL import Image
from tiny_detector import write_detector

from resdet.data.records import Classes, Record, pack
from resdet.jobs.ablation import AblationRow, ablation, ablation_table
from resdet.jobs.detection import Ensemble
from resdet.options import add_options

IDS = ("ant", "bee")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    context = write_detector(folder / "context.pt", IDS, "bee", "model.context=true")
    return {"plain": write_detector(folder / "plain.pt", IDS, "bee"), "context": context}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    root = tmp_path_factory.mktemp("set")
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(root / "0.png")
    return pack(root, Classes(IDS, IDS), [Record("0.png", -1, [(1, 1, 20, 20)], [0])])


@pytest.fixture
def asked(monkeypatch):
    """How often each row's detectors were asked, and under which protocol."""
    seen = []
    plain = Ensemble.predict

    def predict(detectors, records, title):
        seen.append((len(detectors.models), detectors.models[0].head.context, detectors.protocol))
        return plain(detectors, records, title)

    monkeypatch.setattr(Ensemble, "predict", predict)
    return seen


def rows(weights, records, settings=()):
    parser = argparse.ArgumentParser()
    add_options(parser)
    args = parser.parse_args(["--device", "cpu"])
    return list(ablation(weights, settings, args, records, lambda found: {"mAP": float(len(found))}))


def test_one_detector_has_four_rows_each_on_top_of_the_last(files, records, asked):
    found = rows([files["plain"]], records)
    assert [row.name for row in found] == ["baseline", "+ box refinement", "+ box voting", "+ multi-scale testing"]
    protocols = [protocol for _, _, protocol in asked]
    assert [p.refine for p in protocols] == ["", "top", "top", "top"]
    assert [p.vote_iou for p in protocols] == [None, None, 0.5, 0.5]
    assert [p.scales for p in protocols] == [(), (), (), (21, 43, 64, 85, 107)]  # of 200 to 1000, by 64 / 600
    assert all(row.metrics["mAP"] > 0 and row.ms_per_image > 0 for row in found)


def test_context_takes_over_where_it_was_trained_and_all_make_the_ensemble(files, records, asked):
    found = rows([files["context"], files["plain"]], records)
    assert [row.name for row in found[3:]] == ["+ context", "+ multi-scale testing", "ensemble of 2"]
    assert [context for _, context, _ in asked[:5]] == [False, False, False, True, True]
    assert [number for number, _, _ in asked] == [1, 1, 1, 1, 1, 2]
    assert rows([files["context"]], records)[0].name == "baseline, with context"


def test_settings_say_what_the_improvements_are(files, records, asked):
    settings = (
        "test.refine=true",
        "test.refine_box=each",
        "test.vote=true",
        "test.vote_iou=0.7",
        "test.scales=[48, 96]",
    )
    rows([files["plain"]], records, settings)
    first, last = asked[0][2], asked[-1][2]
    assert (first.refine, first.vote_iou, first.scales) == ("", None, ())
    assert (last.refine, last.vote_iou, last.scales) == ("each", 0.7, (48, 96))


def test_the_table_has_what_each_row_added():
    table = ablation_table([
        AblationRow("baseline", {"mAP": 27.2, "AP50": 48.4}, 100.0),
        AblationRow("+ box refinement", {"mAP": 29.9, "AP50": 49.9}, 203.25),
    ])  # fmt: skip
    head, *lines = [line.split() for line in table.splitlines()]
    assert head == ["mAP", "+", "AP50", "+", "ms/image"]
    assert lines == [
        ["baseline", "27.20", "48.40", "100.0"],
        ["+", "box", "refinement", "29.90", "+2.70", "49.90", "+1.50", "203.2"],
    ]


def test_a_metric_that_is_not_there_has_no_column():
    table = ablation_table([AblationRow("baseline", {"mAP": 80.0, "AP50": None}, 1.0)])
    assert table.splitlines()[0].split() == ["mAP", "+", "ms/image"]
