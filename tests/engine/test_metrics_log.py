import json
import os
import tracemalloc
from pathlib import Path

import pytest

from resdet.engine.log import MetricsLog


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def write(folder, start, steps):
    log = MetricsLog(folder, start)
    for step in steps:
        log.write(step, {"loss": step / 2})
    log.close()


def test_a_row_a_step_and_a_tensorboard_file(tmp_path):
    write(tmp_path, 0, [1, 2])
    assert rows(tmp_path) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 1.0}]
    (events,) = tmp_path.glob("events.out.tfevents.*")
    assert b"loss" in events.read_bytes()


def test_rows_after_the_step_that_is_resumed_are_dropped(tmp_path):
    write(tmp_path, 0, [1, 2, 2, 3, 4])
    write(tmp_path, 2, [3])
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 2, 3]
    write(tmp_path, 0, [1])  # begun anew in the same folder
    assert [row["step"] for row in rows(tmp_path)] == [1]


def test_the_rows_of_a_long_run_are_not_all_in_memory_when_it_is_resumed(tmp_path):
    write(tmp_path, 0, [1])  # TensorBoard is imported
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.writelines(json.dumps({"step": step, "loss": 1.0}) + "\n" for step in range(2, 50_000))
    tracemalloc.start()
    write(tmp_path, 49_000, [49_001])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(rows(tmp_path)) == 49_001
    assert peak < (tmp_path / "metrics.jsonl").stat().st_size / 3  # it was five times its size


@pytest.mark.parametrize("tail", ['{"step": 3, "lo', "\0\0\0\0", "[3]", '{"loss": 1}', "3", '{"step": null}', "\udcff"])
def test_a_line_that_was_being_written_is_dropped(tmp_path, tail):
    write(tmp_path, 0, [1, 2])
    with (tmp_path / "metrics.jsonl").open("ab") as stream:
        stream.write(tail.encode(errors="surrogateescape"))
    write(tmp_path, 5, [6])
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 6]


@pytest.mark.parametrize("damage", ["", "\0\0\0", "[" * 99_999, '{"step": "1"}', "[1]"])
def test_a_damaged_line_does_not_take_the_rows_behind_it_along(tmp_path, damage):
    write(tmp_path, 0, [1, 2, 3])
    file = tmp_path / "metrics.jsonl"
    first, *others = file.read_text().splitlines()
    file.write_text("\n".join([first, damage, *others, ""]))
    write(tmp_path, 2, [3])
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3]


def test_rows_that_are_kept_are_on_the_disk_before_the_file_has_its_name(tmp_path, monkeypatch):
    write(tmp_path, 0, [1, 2, 3])
    synced, renamed = [], []
    fsync, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_ino), fsync(fd))[1])
    monkeypatch.setattr(
        Path, "replace", lambda file, other: (renamed.append((file.stat().st_ino, [*synced])), rename(file, other))[1]
    )
    MetricsLog(tmp_path, 2).close()
    ((inode, synced_before),) = renamed
    assert inode == (tmp_path / "metrics.jsonl").stat().st_ino
    assert inode in synced_before


def test_a_last_row_that_lacks_only_its_newline_is_kept(tmp_path):
    write(tmp_path, 0, [1, 2])
    file = tmp_path / "metrics.jsonl"
    file.write_text(file.read_text().rstrip("\n"))
    write(tmp_path, 2, [3])
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3]


def test_what_is_not_a_finite_number_is_valid_json_all_the_same(tmp_path):
    log = MetricsLog(tmp_path, 0)
    log.write(1, {"error": float("nan"), "loss": float("inf"), "name": "x", "none": None})
    log.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=pytest.fail) == {
        "step": 1,
        "error": None,
        "loss": None,
        "name": "x",
        "none": None,
    }
