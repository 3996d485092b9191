"""Table 13's rows for given networks: which there are, how each is tested, and whose classes it answers with."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from resdet.data.records import Classes, Record, pack
from resdet.jobs import loc_ablation
from resdet.jobs.loc_ablation import Ladder, ladder
from resdet.predictions.loc import LocPredictions

A, B, C, D, E, F = (Path(f"{letter}.pt") for letter in "abcdef")


@pytest.fixture
def asked(monkeypatch):
    """The networks of each row and its settings; what they answer is the true box of the one image."""
    seen = []

    def predict(networks, settings, args, records):
        seen.append(((networks.localizers, networks.rcnns, networks.classifiers), tuple(settings)))
        box = np.array([[0.0, 0, 9, 9]])
        return LocPredictions(np.zeros((1, 1), np.int64), box[None], box)

    monkeypatch.setattr(loc_ablation, "predict_with", predict)
    monkeypatch.setattr(loc_ablation, "_check", lambda *_: None)
    return seen


def rows(weights, *settings):
    records = pack(Path("."), Classes(("a",), ("a",)), [Record("a.png", 0, [(0, 0, 10, 10)], [0])])
    return list(ladder(weights, settings, argparse.Namespace(), records, np.zeros(1, bool)))


def test_all_rows_are_table_13s_and_the_last_has_all_networks(asked):
    found = rows(Ladder(pcr=[A], rpn=[B, C], rcnn=[D, E], classifier=[F, A]), "rcnn.test.proposals=30")
    assert [(row.method, row.testing) for row in found] == [
        ("VGG's (PCR)", "1-crop"),
        ("RPN", "1-crop"),
        ("RPN", "dense"),
        ("RPN + R-CNN", "dense"),
        ("RPN + R-CNN, ensemble", "dense"),
    ]
    networks, settings = zip(*asked, strict=True)
    assert networks == (
        ([A], (), [F]),
        ([B], (), [F]),
        ([B], (), [F]),
        ([B], [D], [F]),
        ([B, C], [D, E], [F, A]),
    )
    assert [words[-1] for words in settings] == [f"test.protocol={row.testing}" for row in found]
    assert ["rcnn.test.proposals=30" in words for words in settings] == [False, False, False, True, True]
    assert all((row.gt_class_loc_error, row.loc_top5_error) == (0, 0) for row in found)


def test_one_rpn_has_two_rows_and_its_own_classes(asked):
    assert [row.testing for row in rows(Ladder(pcr=[], rpn=[A], rcnn=[], classifier=[]))] == ["1-crop", "dense"]
    assert [networks for networks, _ in asked] == [([A], (), [])] * 2
