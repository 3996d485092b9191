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


def test_photographs_of_a_kind_that_is_not_read_are_told(photographs, tmp_path, capsys):
    telephones = photographs / "2.heic"
    telephones.write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    words = ["--weights", write_weights(tmp_path / "det.pt"), "--out", tmp_path / "out"]
    assert infer(photographs, *words) == 0
    assert f"left out: 1 photographs of a kind that is not read, first {telephones}" in capsys.readouterr().err
    assert len(rows(tmp_path / "out")) == 2
    assert infer(telephones, *words) == 0  # named itself
    assert f"skipped: {telephones}: wanted BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP, got HEIC" in capsys.readouterr().err
