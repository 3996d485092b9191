"""tools/doctor.py: what is missing or broken is named, and nothing of it stops the rest."""

import importlib
import json
from importlib import metadata

import pytest
from tiny_set import main_of

from resdet import cli, ops
from resdet.jobs import doctor

MAIN = main_of("doctor")


def lines_of(capsys):
    said = capsys.readouterr()
    return said.out.splitlines(), said.err


def test_a_machine_that_runs_these_tests_has_all_that_is_needed(tmp_path, capsys):
    assert cli.run(MAIN, ["--json", str(tmp_path / "a" / "doctor.json")]) == 0
    out, err = lines_of(capsys)
    assert not err
    assert not [line for line in out if line.startswith("BAD")]
    told = {check["what"]: check for check in json.loads((tmp_path / "a" / "doctor.json").read_text())}
    assert told["torch"]["found"] == metadata.version("torch")
    assert all(told[f"cpu: {name}"]["ok"] for name in ("RoI align", "RoI pool", "NMS"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module named 'pycocotools'", name="pycocotools"), "pip install pycocotools"),
        (ImportError("numpy.dtype size changed,\n may indicate binary incompatibility"), "cannot be imported: numpy"),
    ],
    ids=["missing", "broken"],
)
def test_a_package_that_cannot_be_imported_is_bad_and_the_rest_is_looked_at(monkeypatch, capsys, error, said):
    def imported(module):
        if module.startswith("pycocotools"):
            raise error
        return importlib.__import__(module)

    monkeypatch.setattr(doctor.importlib, "import_module", imported)
    assert cli.run(MAIN, []) == 1
    out, err = lines_of(capsys)
    assert [line for line in out if line.startswith("BAD")] == [line for line in out if said in line]
    assert any(line.startswith("ok  cpu: NMS") for line in out)
    assert err.count("\n") == 1
    assert "1 of " in err and "pycocotools" in err


def test_what_may_lack_is_said_and_is_no_fault(monkeypatch, capsys):
    def imported(module):
        if module == "onnx":
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
        return importlib.__import__(module)

    monkeypatch.setattr(doctor.importlib, "import_module", imported)
    assert cli.run(MAIN, []) == 0
    assert "-   onnx: not installed (onnx): pip install onnx; it is for export.py to ONNX" in lines_of(capsys)[0]


def test_an_operator_that_answers_wrong_or_fails_is_bad(monkeypatch, capsys):
    right = ops.roi_align
    monkeypatch.setattr(ops, "roi_align", lambda *args: right(*args) + 1e-3)

    def broken(*args):
        raise RuntimeError("no kernel image\nfor this device")

    monkeypatch.setattr(ops, "batched_nms", broken)
    assert cli.run(MAIN, []) == 1
    bad = [line for line in lines_of(capsys)[0] if line.startswith("BAD")]
    assert bad == [
        "BAD cpu: RoI align: another answer than its reference's",
        "BAD cpu: NMS: RuntimeError: no kernel image for this device",
    ]


def test_two_opencv_packages_are_a_fault(monkeypatch):
    monkeypatch.setattr(doctor.metadata, "version", lambda name: "5.0")
    assert [check.what for check in doctor.checks() if not check.ok and check.needed] == ["OpenCV"]
