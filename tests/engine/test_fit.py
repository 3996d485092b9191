import json
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from tiny_training import ALONE, HOW, Cut, TinyNet, equal, rows, run_of, weights, with_course

from resdet.engine import checkpoint
from resdet.engine import fit as fit_module
from resdet.engine.fit import fit
from resdet.errors import InputError, UsageError


def test_a_run_leaves_its_weights_and_its_numbers(tmp_path):
    out, model = tmp_path, TinyNet(dropout=0.3)
    fit(run_of(out, model), model, ALONE, resume=False)
    assert {file.name.split(".")[0] for file in out.iterdir()} == {"last", "before-last", "best", "metrics", "events"}
    last = checkpoint.load(out / "last.pt")
    assert (last.task, last.step, last.class_names) == ("cls", 12, ("A", "B", "C"))
    assert equal(last.resume["model"], model.state_dict())
    assert checkpoint.load(out / "best.pt").resume == {}
    trained = [row for row in rows(out) if "loss" in row]
    assert [row["step"] for row in trained] == list(range(1, 13))
    assert [row["lr"] for row in trained] == [0.05] * 8 + [pytest.approx(0.005)] * 4
    assert trained[5]["epoch"] == 1.5
    assert trained[5]["loss"] == trained[5]["loss/class"]
    evaluated = [row for row in rows(out) if "val/loss" in row]
    assert [(row["step"], row["epoch"]) for row in evaluated] == [(4, 1), (8, 2), (12, 3)]


def test_evaluation_is_of_the_averaged_weights_and_what_is_saved_is_what_was_evaluated(tmp_path):
    model, seen = TinyNet(), []

    def evaluate(step):
        seen.append(weights(model))
        assert not model.training
        return {"error": -step}

    fit(run_of(tmp_path, model, evaluate=evaluate), model, ALONE, resume=False)
    last, best = checkpoint.load(tmp_path / "last.pt"), checkpoint.load(tmp_path / "best.pt")
    assert equal(last.model, seen[-1])
    assert equal(best.model, seen[-1])
    assert equal(last.model, last.resume["average"]["state"])
    assert not torch.equal(last.model["fc.weight"], model.fc.weight)


def test_training_goes_on_from_its_own_weights_after_an_evaluation(tmp_path):
    states = {}

    def report(step, row):
        states[step, "val/error" in row] = weights(model)

    model = TinyNet()
    fit(run_of(tmp_path / "a", model, report=report), model, ALONE, resume=False)
    for step in (4, 8, 12):
        assert equal(states[step, False], states[step, True])
    often = TinyNet()
    run = run_of(tmp_path / "b", often, replace(HOW, eval_every=0.25))
    fit(run, often, ALONE, resume=False)
    assert equal(weights(often), weights(model))  # evaluating after every step has changed nothing


def test_an_evaluation_that_fails_gives_the_weights_back(tmp_path):
    model, before = TinyNet(), {}

    def report(step, row):
        before.update(weights(model))

    def evaluate(step):
        raise Cut

    with pytest.raises(Cut):
        fit(run_of(tmp_path, model, report=report, evaluate=evaluate), model, ALONE, resume=False)
    assert equal(before, weights(model))
    assert not (tmp_path / "last.pt").exists()


def test_best_is_the_lowest_error_and_of_equal_ones_the_later(tmp_path):
    errors = {4: 2.0, 8: 1.0, 12: 1.0}
    for last_error, step in ((1.0, 12), (1.5, 8)):
        out, model = tmp_path / str(last_error), TinyNet()
        found = errors | {12: last_error}
        fit(run_of(out, model, evaluate=lambda s, f=found: {"error": f[s]}), model, ALONE, resume=False)
        assert checkpoint.load(out / "best.pt").step == step
        assert checkpoint.load(out / "last.pt").step == 12


@pytest.mark.parametrize("name", ["error", "loss", "loss/box"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_evaluation_that_finds_no_number_ends_the_run_and_is_never_the_best(tmp_path, name, value):
    found = {"error": 1.0, "loss": 1.0, "loss/box": 1.0, "of a kind that no image has": float("nan")}
    model = TinyNet()

    def evaluate(step):
        return found | {"error": 0.5, name: value} if step == 8 else found

    with pytest.raises(FloatingPointError, match=rf"step 8: evaluated, {name} is {value}; training has diverged"):
        fit(run_of(tmp_path, model, evaluate=evaluate), model, ALONE, resume=False)
    assert [checkpoint.load(tmp_path / file).step for file in ("best.pt", "last.pt")] == [4, 4]


def test_what_was_measured_is_told_each_step_and_as_the_mean_since_the_last_evaluation(tmp_path):
    model = TinyNet(measures=True)
    fit(run_of(tmp_path, model, evaluate=lambda step: {"error": 0.0}), model, ALONE, resume=False)
    batch = {row["step"]: row for row in rows(tmp_path) if "loss" in row}
    assert all(row["loss"] == row["loss/class"] for row in batch.values())
    means = {row["step"]: row["train/top1_error"] for row in rows(tmp_path) if "val/error" in row}
    assert set(means) == {4, 8, 12}
    for end, mean in means.items():
        assert mean == pytest.approx(sum(batch[step]["batch/top1_error"] for step in range(end - 3, end + 1)) / 4)


def test_a_damaged_last_checkpoint_is_told_and_not_trained_over(tmp_path):
    (tmp_path / "last.pt").write_bytes(b"half")
    model = TinyNet()
    with pytest.raises(InputError, match=r"last\.pt: damaged"):
        fit(run_of(tmp_path, model), model, ALONE, resume=True)
    assert (tmp_path / "last.pt").read_bytes() == b"half"


def test_fp16_on_the_cpu_is_refused(tmp_path):
    model = TinyNet()
    with pytest.raises(UsageError, match=r"train\.precision fp16 needs CUDA"):
        fit(run_of(tmp_path, model, replace(HOW, precision="fp16")), model, ALONE, resume=False)


def test_the_rate_counts_the_images_that_a_step_has(tmp_path, monkeypatch):
    """Three of a set that is smaller than a batch of eight; the clock goes on by a second at each look."""
    rates = {}
    for name, images in (("whole batches", 0), ("a small set", 3)):
        seconds = count()
        monkeypatch.setattr(fit_module, "time", SimpleNamespace(perf_counter=lambda seconds=seconds: next(seconds)))
        model = TinyNet()
        fit(with_course(run_of(tmp_path / name, model), images_per_step=images), model, ALONE, resume=False)
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        rates[name] = [row["images_per_s"] for row in map(json.loads, lines) if "images_per_s" in row]
    assert len(rates["a small set"]) == 12
    assert rates["a small set"] == pytest.approx([rate * 3 / 8 for rate in rates["whole batches"]])


def test_logging_is_every_so_many_steps_and_at_the_end(tmp_path):
    model = TinyNet()
    told = []
    run = run_of(tmp_path, model, replace(HOW, log_every=5), report=lambda step, row: told.append(step))
    fit(run, model, ALONE, resume=False)
    assert [row["step"] for row in rows(tmp_path) if "loss" in row] == [5, 10, 12]
    assert sorted(set(told)) == list(range(1, 13))
