import json
from dataclasses import replace

import pytest
import torch
from tiny_training import ALONE, HOW, TinyNet, run_of

from resdet.config import ClsConfig, to_dict
from resdet.engine import checkpoint
from resdet.engine.fit import fit
from resdet.errors import InputError, UsageError


class Cut(Exception):
    """What ends a run in the middle."""


def rows(folder):
    """What was logged, without what the clock says."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "images_per_s"} for line in lines]


def equal(one, other):
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, dict):
            assert equal(value, other[key])
        elif isinstance(value, torch.Tensor):
            assert torch.equal(value, other[key]), key
        else:
            assert value == other[key] or isinstance(value, list), key
    return True


def weights(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A run from start to end: its folder and its network."""
    model = TinyNet(dropout=0.3)
    out = tmp_path_factory.mktemp("uninterrupted")
    fit(run_of(out, model), model, ALONE, resume=False)
    return out, model


def test_a_run_leaves_its_weights_and_its_numbers(uninterrupted):
    out, model = uninterrupted
    assert {file.name.split(".")[0] for file in out.iterdir()} == {"last", "best", "metrics", "events"}
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
    for last_error, step in ((1.0, 12), (1.5, 8), (float("nan"), 8)):
        out, model = tmp_path / str(last_error), TinyNet()
        found = errors | {12: last_error}
        fit(run_of(out, model, evaluate=lambda s, f=found: {"error": f[s]}), model, ALONE, resume=False)
        assert checkpoint.load(out / "best.pt").step == step
        assert checkpoint.load(out / "last.pt").step == 12


def interrupted(out, how, where, **net):
    """Run until ``where(step, row)`` is true, then stop as a crash would."""
    model = TinyNet(dropout=0.3, **net)

    def report(step, row):
        if where(step, row):
            raise Cut

    with pytest.raises(Cut):
        fit(run_of(out, model, how, report=report), model, ALONE, resume=False)


def test_a_resumed_run_knows_what_was_best(tmp_path):
    errors = {4: 1.0, 8: 2.0, 12: 3.0}
    for end, resume in ((8, False), (12, True)):
        model = TinyNet()
        run = run_of(tmp_path, model, evaluate=lambda step: {"error": errors[step]}, steps=end)
        fit(run, model, ALONE, resume=resume)
    assert checkpoint.load(tmp_path / "best.pt").step == 4
    assert checkpoint.load(tmp_path / "last.pt").resume["best"] == 1.0


CUTS = {
    "after an epoch": lambda step, row: step == 5,
    "while an epoch's evaluation is told": lambda step, row: step == 8 and "val/error" in row,
    "before the first save": lambda step, row: step == 3,
    "just before the end": lambda step, row: step == 12,
    "in the middle of an epoch": lambda step, row: step == 11,
}


@pytest.mark.parametrize("save_every", [0, 5])
@pytest.mark.parametrize("where", CUTS.values(), ids=CUTS.keys())
def test_a_resumed_run_ends_bit_for_bit_as_an_uninterrupted_one(tmp_path, uninterrupted, where, save_every):
    how = replace(HOW, save_every=save_every)
    interrupted(tmp_path, how, where)
    model = TinyNet(seed=99, dropout=0.3) if (tmp_path / "last.pt").exists() else TinyNet(dropout=0.3)
    fit(run_of(tmp_path, model, how), model, ALONE, resume=True)
    assert equal(weights(model), weights(uninterrupted[1]))
    for name in ("last.pt", "best.pt"):
        mine, other = checkpoint.load(tmp_path / name), checkpoint.load(uninterrupted[0] / name)
        assert equal(mine.model, other.model)
        assert (mine.step, mine.metrics) == (other.step, other.metrics)
        assert equal(mine.resume, other.resume)
        optimizers = [saved.resume.get("optimizer", {"state": {}}) for saved in (mine, other)]
        assert equal(*[{str(k): v for k, v in o["state"].items()} for o in optimizers])
    assert rows(tmp_path) == rows(uninterrupted[0])


def test_what_was_measured_is_told_each_step_and_as_the_mean_since_the_last_evaluation(tmp_path):
    model = TinyNet(measures=True)
    fit(run_of(tmp_path, model, evaluate=lambda step: {"error": 0.0}), model, ALONE, resume=False)
    batch = {row["step"]: row for row in rows(tmp_path) if "loss" in row}
    assert all(row["loss"] == row["loss/class"] for row in batch.values())
    means = {row["step"]: row["train/error"] for row in rows(tmp_path) if "val/error" in row}
    assert set(means) == {4, 8, 12}
    for end, mean in means.items():
        assert mean == pytest.approx(sum(batch[step]["batch/error"] for step in range(end - 3, end + 1)) / 4)


def test_the_mean_of_an_epoch_that_was_cut_in_two_is_of_both_parts(tmp_path):
    model, resumed = TinyNet(dropout=0.3, measures=True), TinyNet(seed=9, dropout=0.3, measures=True)
    how = replace(HOW, save_every=6)
    fit(run_of(tmp_path / "whole", model, how), model, ALONE, resume=False)
    interrupted(tmp_path / "cut", how, lambda step, row: step == 7, measures=True)
    fit(run_of(tmp_path / "cut", resumed, how), resumed, ALONE, resume=True)
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


def test_a_save_within_an_epoch_needs_no_evaluation(tmp_path):
    interrupted(tmp_path, replace(HOW, save_every=3), lambda step, row: step == 4)
    last = checkpoint.load(tmp_path / "last.pt")
    assert (last.step, last.metrics) == (3, {})
    assert equal(last.model, last.resume["average"]["state"])


def test_a_folder_with_a_run_in_it_is_left_alone_without_resume(tmp_path, uninterrupted):
    out, model = uninterrupted
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(UsageError, match="holds a run already: --resume continues it"):
        fit(run_of(out, model), model, ALONE, resume=False)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_a_finished_run_is_left_as_it_is_when_resumed(uninterrupted):
    out, _ = uninterrupted
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in out.iterdir()}
    model = TinyNet(seed=5, dropout=0.3)
    fit(run_of(out, model, report=lambda step, row: pytest.fail("trained on")), model, ALONE, resume=True)
    assert {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in out.iterdir()} == before


def test_resume_in_an_empty_folder_begins(tmp_path):
    model = TinyNet()
    fit(run_of(tmp_path / "new", model), model, ALONE, resume=True)
    assert checkpoint.load(tmp_path / "new" / "last.pt").step == 12


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"lr": 0.1}, "was trained with train.lr = 0.05, now 0.1"),
        ({"sizes": ((0.0, 32),)}, "was trained with train.sizes = [], now [[0.0, 32]]"),
        ({"ema": 0.0}, "was trained with train.ema = 0.9, now 0.0"),
    ],
)
def test_resuming_with_another_setting_names_it(uninterrupted, change, line):
    out, model = uninterrupted
    with pytest.raises(InputError) as caught:
        fit(run_of(out, model, replace(HOW, **change)), model, ALONE, resume=True)
    assert line in str(caught.value)
    assert "last.pt" in str(caught.value)


def test_resuming_another_task_or_other_classes_is_refused(uninterrupted):
    out, model = uninterrupted
    run = run_of(out, model)
    for change, line in (({"task": "loc"}, "kind 'cls'"), ({"class_ids": ("a", "b")}, "other classes (3; now 2)")):
        with pytest.raises(InputError) as caught:
            fit(replace(run, identity=replace(run.identity, **change)), model, ALONE, resume=True)
        assert line in str(caught.value)


def test_what_only_paces_a_run_may_change_when_it_is_resumed(tmp_path, uninterrupted):
    interrupted(tmp_path, HOW, lambda step, row: step == 5)
    model = TinyNet(dropout=0.3)
    run = run_of(tmp_path, model, replace(HOW, log_every=2, eval_every=2.0, save_every=7, stop_epoch=3.0))
    config = to_dict(replace(ClsConfig(), train=run.how)) | {"test": {"batch_size": 1}}
    del config["train"]["batch_norm"]  # as if the saved run were of a version with a setting more
    fit(replace(run, identity=replace(run.identity, config=config)), model, ALONE, resume=True)
    assert equal(weights(model), weights(uninterrupted[1]))


def test_a_run_saved_before_a_setting_existed_can_be_resumed(tmp_path):
    interrupted(tmp_path, HOW, lambda step, row: step == 5)
    last = checkpoint.load(tmp_path / "last.pt")
    older = {k: v for k, v in last.config["train"].items() if k != "clip_norm"}
    checkpoint.save(tmp_path / "last.pt", replace(last, config=last.config | {"train": older}))
    model = TinyNet(dropout=0.3)
    fit(run_of(tmp_path, model), model, ALONE, resume=True)
    assert checkpoint.load(tmp_path / "last.pt").step == 12


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


@pytest.mark.parametrize("change", [{"ema": 0.0}, {"precision": "bf16"}, {"batch_norm": "frozen"}])
def test_other_ways_to_train_resume_as_well(tmp_path, change):
    how = replace(HOW, **change)
    model, resumed = TinyNet(dropout=0.3), TinyNet(dropout=0.3)
    fit(run_of(tmp_path / "whole", model, how), model, ALONE, resume=False)
    interrupted(tmp_path / "cut", how, lambda step, row: step == 6)
    fit(run_of(tmp_path / "cut", resumed, how), resumed, ALONE, resume=True)
    assert equal(weights(model), weights(resumed))
    if "batch_norm" in change:
        assert equal(weights(model.bn), weights(TinyNet().bn))


def test_logging_is_every_so_many_steps_and_at_the_end(tmp_path):
    model = TinyNet()
    told = []
    run = run_of(tmp_path, model, replace(HOW, log_every=5), report=lambda step, row: told.append(step))
    fit(run, model, ALONE, resume=False)
    assert [row["step"] for row in rows(tmp_path) if "loss" in row] == [5, 10, 12]
    assert sorted(set(told)) == list(range(1, 13))


@pytest.mark.gpu
def test_fp16_trains_resumes_and_keeps_its_scale_on_a_gpu(tmp_path):
    gpu = replace(ALONE, device=torch.device("cuda:0"))
    how = replace(HOW, precision="fp16", clip_norm=1.0)
    model = TinyNet().cuda()
    fit(run_of(tmp_path, model, how, steps=8), model, gpu, resume=False)
    saved = checkpoint.load(tmp_path / "last.pt")
    assert saved.resume["scaler"]["scale"] > 0
    again = TinyNet(seed=3).cuda()
    fit(run_of(tmp_path, again, how), again, gpu, resume=True)
    assert all(torch.isfinite(v).all() for v in again.state_dict().values())
