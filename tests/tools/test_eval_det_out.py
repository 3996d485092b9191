"""tools/eval_det.py --weights --out: what a network found is not lost, whatever the data set's names are."""

import pytest
import tiny_set
import tiny_voc
from detecting import IDS, write_weights


def evaluate(*words):
    return tiny_set.run("eval_det", *words)


@pytest.mark.parametrize(
    ("ids", "image", "why"),
    [
        (IDS, "val 0", "image 'val 0': VOC's form takes no spaces in names"),
        (("a/b", "bee", "cat"), "val0", "class 'a/b' cannot be in a file's name, as VOC's form wants it"),
    ],
)
def test_names_that_vocs_form_cannot_hold_cost_no_detections(tmp_path, capsys, ids, image, why):
    root, out = tiny_voc.draw(tmp_path / "set", ids), tmp_path / "out"
    for file in (root / "JPEGImages/val0.png", root / "Annotations/val0.xml"):
        file.rename(file.with_stem(image))
    (root / "ImageSets/Main/val.txt").write_text(f"{image}\nval1\nval2\n")
    data = ["--data", f"voc:{root}:val", "--metric", "voc12"]
    words = ["--weights", write_weights(tmp_path / "w.pt", ids), *data, "--out", out, "--device", "cpu"]
    assert evaluate(*words) == 0
    said = capsys.readouterr().out
    assert f"{why}: the detections are in {out}/predictions.jsonl" in said
    assert " 0 detections" not in said
    assert evaluate("--predictions", out / "predictions.jsonl", *data, "--json", tmp_path / "again.json") == 0
    assert capsys.readouterr().out.splitlines() == said.splitlines()[:-2]  # as many detections of as many classes
    assert (tmp_path / "again.json").read_text() == (out / "eval.json").read_text()
