"""tools/infer.py with a detector of another project's, by its name."""

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny_set import main_of

from resdet import cli
from resdet.data.lists import coco_classes

ZOO = Path(__file__).parents[1] / "zoo"


@pytest.fixture
def published(tmp_path, monkeypatch) -> str:
    """detectron2's, eight channels wide."""
    monkeypatch.syspath_prepend(str(ZOO))
    from detectron2_c4_net import FasterRCNNC4, made_alive

    torch.manual_seed(5)
    net = FasterRCNNC4(8, classes=80, rpn_channels=16).eval()
    made_alive(net, torch.randint(0, 256, (3, 100, 150)).float())
    arrays = {key: value.numpy() for key, value in net.state_dict().items()}
    (tmp_path / "c4.pkl").write_bytes(pickle.dumps({"model": arrays, "__author__": "Detectron2 Model Zoo"}))
    return f"detectron2:faster_rcnn_R_50_C4={tmp_path}/c4.pkl"


def test_a_folder_is_searched_by_a_published_detector_with_cocos_numbers_and_names(tmp_path, published):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 256, (80, 100 + 20 * i, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), pixels)
    words = ["--weights", published, str(folder), "--out", str(tmp_path / "out"), "--format", "jsonl,coco"]
    words += ["--workers", "0", "--score-threshold", "0.01"]
    words += ["--set", "model.backbone.width=8", "test.shorter=80", "test.longer=160", "test.proposals=20"]
    assert cli.run(main_of("infer"), words) == 0
    rows = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert [(row["width"], row["error"]) for row in rows] == [(100, None), (120, None)]
    found = [d for row in rows for d in row["detections"]]
    results = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert len(results) == len(found) > 5
    known = list(coco_classes().items())
    for detection, result in zip(found, results, strict=True):
        assert known[detection["label"]] == (result["category_id"], detection["name"])
