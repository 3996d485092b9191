import json
import math
import tracemalloc

import pytest

from resdet.errors import InputError, UsageError
from resdet.report.axes import COLORS
from resdet.report.runs import error_panels, read_histories, read_history, response_panels


def run(folder, errors, shortcut="A", training=True):
    """A run's folder, as tools/train_cls.py leaves it, with one evaluation an epoch."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(f"model: {{backbone: {{shortcut: {shortcut!r}, depth: 20}}}}\n")
    rows = []
    for epoch, error in enumerate(errors, 1):
        rows.append({"step": 10 * epoch - 5, "epoch": epoch - 0.5, "loss": 1.0, "batch/top1_error": 50.0})
        row = {"step": 10 * epoch, "epoch": float(epoch), "val/loss": 1.0, "val/top1_error": error}
        rows.append(row | ({"train/top1_error": error - 1} if training else {}))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_history_is_of_the_evaluations(tmp_path):
    history = read_history(run(tmp_path / "plain-20", [90.0, 80.0, 75.5], shortcut="none"), "top1_error")
    assert (history.name, history.plain) == ("plain-20", True)
    assert history.epochs == (1.0, 2.0, 3.0)
    assert history.validation == (90.0, 80.0, 75.5)
    assert history.training == (89.0, 79.0, 74.5)


def test_what_was_not_measured_or_was_nan_is_a_gap(tmp_path):
    history = read_history(run(tmp_path / "a", [90.0, None], training=False), "top1_error")
    assert history.validation[0] == 90
    assert math.isnan(history.validation[1])
    assert all(math.isnan(v) for v in history.training)


def test_a_row_that_is_being_written_is_left_out(tmp_path):
    folder = run(tmp_path / "a", [90.0])
    with (folder / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 20, "epoch": 2.0, "val/to')
    assert read_history(folder, "top1_error").epochs == (1.0,)


def test_of_a_run_that_logs_each_step_only_evaluations_are_held(tmp_path):
    folder = run(tmp_path / "a", [90.0])
    file = folder / "metrics.jsonl"
    file.write_text(file.read_text() + '{"step": 1, "epoch": 0.5, "loss": 1.0, "lr": 0.1}\n' * 20_000)
    tracemalloc.start()
    try:
        assert read_history(folder, "top1_error").validation == (90.0,)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 5 * file.stat().st_size  # its text and its lines; with all rows 12 times


@pytest.mark.parametrize(
    ("metrics", "config", "line"),
    [
        (None, "model: {}", "metrics.jsonl: not found; wanted the folder of a training run"),
        ("{}\n{\n", "", "metrics.jsonl:2: not a line of JSON"),
        ("[1]\n", "", "metrics.jsonl:1: wanted an object, got '[1]'"),
        ('{"val/loss": 1}\n', "", "no row has val/top1_error: not evaluated yet, or by another name"),
        ('{"val/top1_error": 1}\n', None, "config.yaml: not found"),
        ('{"val/top1_error": 1}\n', "model: {}", "config.yaml: not the config of a training run"),
        ('{"val/top1_error": 1}\n', "model: [", "config.yaml: not the config of a training run"),
        ('{"val/top1_error": 1}\n', "3", "config.yaml: not the config of a training run"),
    ],
)
def test_a_folder_that_holds_no_run_is_told(tmp_path, metrics, config, line):
    for name, text in (("metrics.jsonl", metrics), ("config.yaml", config)):
        if text is not None:
            (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        read_history(tmp_path, "top1_error")
    assert line in str(caught.value)


def test_runs_of_one_name_are_told_apart_by_their_paths(tmp_path):
    folders = [run(tmp_path / path, [1.0]) for path in ("a/x", "b/x", "y")]
    assert [h.name for h in read_histories(folders, "top1_error")] == [str(folders[0]), str(folders[1]), "y"]


def test_plain_and_residual_nets_have_panels_of_their_own_on_one_scale(tmp_path):
    made = {"plain-20": "none", "plain-56": "none", "residual-20": "A", "residual-56": "B"}
    errors = {"plain-20": [80, 60], "plain-56": [90, 70], "residual-20": [80, 55], "residual-56": [80, 50]}
    histories = read_histories([run(tmp_path / n, errors[n], shortcut=s) for n, s in made.items()], "top1_error")
    plain, residual = error_panels(histories, "top-1 error, %")
    assert (plain.title, residual.title) == ("Plain nets", "Residual nets")
    assert plain.y_range == residual.y_range
    assert plain.y_range[0] < 49  # the lowest training error
    assert plain.x_range == residual.x_range == (0.0, 2.0)
    named = [(c.name, c.dashed, c.color) for c in residual.curves if c.name]
    assert named[:2] == [("residual-20", False, COLORS[0]), ("residual-56", False, COLORS[1])]
    assert [name for name, _, _ in named[2:]] == ["validation", "training"]
    assert [c.y for c in residual.curves if c.dashed and c.y] == [(79, 54), (79, 49)]
    assert [c.color for c in plain.curves[:4]] == [COLORS[0], COLORS[0], COLORS[1], COLORS[1]]


def test_runs_of_one_kind_share_a_panel(tmp_path):
    histories = read_histories([run(tmp_path / n, [50.0]) for n in "abc"], "top1_error")
    panels = error_panels(histories, "error")
    assert len(panels) == 1
    assert panels[0].title == ""


def test_each_run_of_a_panel_has_its_own_colour_and_more_are_refused(tmp_path):
    histories = read_histories([run(tmp_path / f"run{i}", [50.0]) for i in range(13)], "top1_error")
    (panel,) = error_panels(histories[:12], "error")
    assert len({curve.color for curve in panel.curves if curve.name and curve.y}) == 12
    with pytest.raises(UsageError, match="13 runs in one panel: wanted 12 at most"):
        error_panels(histories, "error")


def test_responses_are_drawn_in_order_and_from_large_to_small():
    ordered, by_size = response_panels({"plain": [1.0, 3.0, 2.0], "residual": [0.5, 0.1]}, ["plain"])
    assert [c.y for c in ordered.curves] == [(1, 3, 2), (0.5, 0.1)]
    assert [c.y for c in by_size.curves] == [(3, 2, 1), (0.5, 0.1)]
    assert ordered.curves[0].x == (1, 2, 3)
    assert [c.dashed for c in ordered.curves] == [True, False]
    assert len({c.color for c in ordered.curves}) == 1  # the first plain net and the first residual one
