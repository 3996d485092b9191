"""The README's lines of Python, as a user would paste them."""

import re
from pathlib import Path

import cv2
import numpy as np
from detecting import write_weights

README = Path(__file__).parents[2] / "README.md"


def test_what_the_readme_says_in_python_runs(tmp_path, monkeypatch, capsys):
    (lines,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/voc_r101", "photographs"):
        (tmp_path / folder).mkdir(parents=True)
    write_weights(tmp_path / "runs/voc_r101/best.pt")
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    cv2.imwrite("photographs/a.jpg", noise)
    exec(lines, {"__name__": "a notebook"})
    assert capsys.readouterr().out.startswith("photographs/a.jpg [")
