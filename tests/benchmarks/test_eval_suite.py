"""The evaluation suite on few images: the answers are those known beforehand."""

import pytest
import torch

from resdet.benchmarks import eval as evaluation


@pytest.mark.parametrize("images", [40, 400])
def test_both_metrics_give_what_the_predictions_were_made_to_give(images):
    rows = list(evaluation.rows(torch.device("cpu"), loc_images=images, det_images=images, detections=8, runs=1))
    assert [row.name for row in rows] == [
        f"localization of {images} images, 5 guesses each, from a file",
        f"ILSVRC DET of {images} images, {8 * images} detections, from a file",
    ]
    assert all(row.agree and row.ours_ms > 0 for row in rows)
    assert all((row.peer, row.peer_ms, row.ratio) == ("", None, None) for row in rows)


def test_a_wrong_answer_shows(monkeypatch):
    monkeypatch.setattr(evaluation, "loc_metrics", lambda *_: {"loc_top5_error": 1.0})
    monkeypatch.setattr(evaluation, "det_metrics", lambda *_: {"mAP": 1.0})
    rows = evaluation.rows(torch.device("cpu"), loc_images=40, det_images=40, detections=8, runs=1)
    assert not any(row.agree for row in rows)
