"""A run that was cut off and resumed is the run that was not."""

from dataclasses import replace

import pytest
import torch
from tiny_training import ALONE, HOW, Cut, TinyNet, equal, interrupted, rows, run_of, weights, with_course

from resdet.config import ClsConfig, to_dict
from resdet.engine import checkpoint
from resdet.engine.fit import fit
from resdet.errors import InputError, UsageError


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A run from start to end: its folder and its network."""
    model = TinyNet(dropout=0.3)
    out = tmp_path_factory.mktemp("uninterrupted")
    fit(run_of(out, model), model, ALONE, resume=False)
    return out, model


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


PLATEAU = replace(HOW, schedule="plateau", patience=1, threshold=0.0, save_every=3)
WARMUP = replace(HOW, warmup_lr=0.03, warmup_until_error=98.0, save_every=3)


def errors_of(step):
    return {"error": {4: 3.0, 8: 3.0, 12: 3.0}[step]}


@pytest.mark.parametrize("cut", [5, 7, 8, 11])
@pytest.mark.parametrize("how", [PLATEAU, WARMUP], ids=["plateau", "warm-up"])
def test_a_schedule_that_follows_the_training_resumes_where_it_was(tmp_path, how, cut):
    model, resumed = (TinyNet(seed=seed, dropout=0.3, measures=True) for seed in (0, 99))
    fit(run_of(tmp_path / "whole", model, how, evaluate=errors_of), model, ALONE, resume=False)
    rates = [row["lr"] for row in rows(tmp_path / "whole") if "lr" in row]
    if how is PLATEAU:  # no better at 8 and at 12
        assert rates == pytest.approx([0.05] * 8 + [0.005] * 4)
    else:
        ended = rates.index(0.05)
        assert 1 < ended < 8
        assert rates == pytest.approx([0.03] * ended + [0.05] * (8 - ended) + [0.005] * 4)

    first = TinyNet(dropout=0.3, measures=True)

    def report(step, row):
        if step == cut:
            raise Cut

    with pytest.raises(Cut):
        fit(run_of(tmp_path / "cut", first, how, evaluate=errors_of, report=report), first, ALONE, resume=False)
    fit(run_of(tmp_path / "cut", resumed, how, evaluate=errors_of), resumed, ALONE, resume=True)
    assert equal(weights(model), weights(resumed))
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    states = [checkpoint.load(tmp_path / name / "last.pt").resume["rate"] for name in ("cut", "whole")]
    assert states[0] == states[1]


def test_where_evaluations_lower_the_rate_their_pace_belongs_to_the_run(tmp_path):
    model = TinyNet()
    fit(run_of(tmp_path, model, PLATEAU, evaluate=errors_of, steps=8), model, ALONE, resume=False)
    other = replace(PLATEAU, eval_every=2.0)
    with pytest.raises(InputError, match=r"trained with train\.eval_every = 1\.0, now 2\.0"):
        fit(run_of(tmp_path, model, other, evaluate=errors_of), model, ALONE, resume=True)


def test_an_evaluation_where_a_run_is_cut_short_is_none_of_the_schedules(tmp_path):
    model = TinyNet()
    fit(run_of(tmp_path, model, PLATEAU, evaluate=lambda step: {"error": 3.0}, steps=6), model, ALONE, resume=False)
    assert checkpoint.load(tmp_path / "last.pt").resume["rate"][3:] == [0, 0]


@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
def test_in_how_many_parts_a_step_is_computed_may_change_where_batch_norm_does_not_learn_from_them(
    tmp_path, batch_norm
):
    how = replace(HOW, batch_norm=batch_norm)
    whole, resumed = TinyNet(), TinyNet()
    fit(run_of(tmp_path / "whole", whole, how), whole, ALONE, resume=False)
    fit(run_of(tmp_path / "cut", resumed, how, steps=8), resumed, ALONE, resume=False)
    again = run_of(tmp_path / "cut", resumed, replace(how, accumulate=4))
    if batch_norm == "train":
        with pytest.raises(InputError, match=r"trained with train\.accumulate = 1, now 4"):
            fit(again, resumed, ALONE, resume=True)
        return
    fit(again, resumed, ALONE, resume=True)
    for name, value in weights(resumed).items():
        torch.testing.assert_close(value, whole.state_dict()[name])


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


@pytest.mark.parametrize(("now", "ended"), [(64, False), (16, False), (33, True)])
def test_a_training_set_that_grew_or_shrank_is_another_runs(tmp_path, now, ended):
    model = TinyNet()
    fit(with_course(run_of(tmp_path, model, steps=12 if ended else 8), images=32), model, ALONE, resume=False)
    other = with_course(run_of(tmp_path, model, steps=3 * now // 8), steps_per_epoch=now // 8, images=now)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(InputError, match=rf"last\.pt was trained on 32 images, now there are {now}: not the same run"):
        fit(other, model, ALONE, resume=True)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_run_that_did_not_say_on_how_many_images_goes_on(tmp_path):
    interrupted(tmp_path, HOW, lambda step, row: step == 5)
    last = checkpoint.load(tmp_path / "last.pt")
    older = {name: value for name, value in last.resume.items() if name != "images"}
    checkpoint.save(tmp_path / "last.pt", replace(last, resume=older))
    model = TinyNet(dropout=0.3)
    fit(with_course(run_of(tmp_path, model), images=32), model, ALONE, resume=True)
    assert checkpoint.load(tmp_path / "last.pt").resume["images"] == 32


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
    for change, line in (
        ({"task": "loc"}, "kind 'cls'"),
        ({"class_ids": ("a", "b")}, "other classes (3; now 2): class 2 was c, now none"),
        ({"class_ids": ("a", "b", "c", "d")}, "other classes (3; now 4): class 3 was none, now d"),
        ({"class_ids": ("a", "x", "y")}, "other classes (3; now 3): class 1 was b, now x"),
    ):
        with pytest.raises(InputError) as caught:
            fit(replace(run, identity=replace(run.identity, **change)), model, ALONE, resume=True)
        assert line in str(caught.value)


DAMAGE = {
    "no weights": lambda resume: resume.pop("model"),
    "a weight fewer": lambda resume: resume["model"].pop("fc.bias"),
    "a weight more": lambda resume: resume["model"].update(old=torch.zeros(1)),
    "no optimizer": lambda resume: resume.pop("optimizer"),
    "another momentum": lambda resume: resume["optimizer"]["state"][0].update(momentum_buffer=torch.zeros(2)),
    "no average": lambda resume: resume.pop("average"),
    "an average of fewer": lambda resume: resume["average"]["state"].pop("fc.bias"),
    "an average of other shapes": lambda resume: resume["average"]["state"].update({"fc.bias": torch.zeros(1)}),
    "no best": lambda resume: resume.pop("best"),
    "a rate of other parts": lambda resume: resume["rate"].pop(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_checkpoint_of_another_version_or_network_is_one_line_that_names_it(tmp_path, uninterrupted, damage):
    """Its settings may be the same: layers may have had other names, or nobody saved something yet."""
    saved = checkpoint.load(uninterrupted[0] / "last.pt")
    damage(saved.resume)
    checkpoint.save(tmp_path / "last.pt", saved)
    model = TinyNet()
    with pytest.raises(
        InputError, match=r"last\.pt: cannot be gone on with, not of this network, or of another version: "
    ) as caught:
        fit(run_of(tmp_path, model), model, ALONE, resume=True)
    assert "\n" not in str(caught.value)
