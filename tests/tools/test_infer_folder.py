"""The folder of infer.py's results: what does not fit into it, and which unfinished run in it is gone on with."""

import resource

import cv2
import numpy as np
import pytest
from detecting import infer, rows, write_weights


@pytest.fixture
def photographs(tmp_path):
    """Two images, the first of which is none."""
    root = tmp_path / "photographs"
    root.mkdir()
    (root / "0.jpg").write_text("no image")
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    cv2.imwrite(str(root / "1.png"), noise)
    return root


def test_a_full_disk_is_one_line_that_names_the_folder_and_the_run_goes_on(photographs, tmp_path, capsys):
    out = tmp_path / "out"
    words = [photographs, "--weights", write_weights(tmp_path / "det.pt"), "--out", out]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, limits[1]))  # bytes of a file: fewer than a picture has
    try:
        assert infer(*words, "--batch-size", 1) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f": {out}: File too large" in capsys.readouterr().err.splitlines()[-1]
    assert infer(*words) == 0
    assert len(rows(out)) == 2


@pytest.mark.parametrize("name", ["best.pt", "lr=0.1/best.pt", "a=b=c.pt"])
def test_weights_of_the_same_name_that_are_others_are_found_out(photographs, tmp_path, capsys, name):
    weights = tmp_path / name
    weights.parent.mkdir(exist_ok=True)
    words = [photographs, "--weights", weights, "--out", tmp_path / "out"]
    write_weights(weights)
    assert infer(*words, "--on-bad-image", "fail") == 1
    write_weights(weights, seed=5)
    assert infer(*words) == 2
    assert "an unfinished run with --weights" in capsys.readouterr().err
