"""Inference that was killed and started again: no image twice, none left out, every file whole at every moment."""

import csv
import json
import random
import shutil
import sys
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from detecting import EVERY, INFER, infer, rows, write_weights

from resdet import cli
from resdet.jobs.folder_lock import locked
from resdet.jobs.journal import Journal
from resdet.jobs.result_files import UNFINISHED

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from killing import ended, fork, killed_after, killed_before_touch
from several import together

IMAGES, FRAMES = 5, 6


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Five images, one that is none, and a video."""
    root = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for i in range(IMAGES):
        cv2.imwrite(str(root / f"{i}.png"), rng.integers(0, 256, (60 + 4 * i, 80, 3), dtype=np.uint8))
    (root / "bad.jpg").write_text("no image")
    writer = cv2.VideoWriter(str(root / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    for _ in range(FRAMES):
        writer.write(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    return root


@pytest.fixture(scope="module")
def work(photographs, det_weights):
    """What looks at them, into a folder; one after another, so that a batch is the same wherever one begins."""

    def begin(out, *words, weights=det_weights):
        return infer(photographs, "--weights", weights, "--out", out, "--format", EVERY, "--batch-size", 1, *words)

    return begin


@pytest.fixture(scope="module")
def whole(work, tmp_path_factory):
    """The results of a run that nothing happened to."""
    out = tmp_path_factory.mktemp("whole")
    assert ended(fork(partial(work, out)))
    return out


def contents(out):
    """Every file by its place; videos as their frames, for their headers hold the time of day."""
    found = {}
    for file in (file for file in out.rglob("*") if file.is_file()):
        found[str(file.relative_to(out))] = frames(file) if file.suffix == ".mp4" else file.read_bytes()
    return found


def frames(file):
    video = cv2.VideoCapture(str(file))
    every = []
    while (frame := video.read()[1]) is not None:
        every.append(frame.tobytes())
    return every


def check_whole(out):
    """Every file that has a name of a result reads as such a file does."""
    for file in (file for file in out.rglob("*") if file.is_file() and UNFINISHED not in file.parts):
        if file.name.endswith((".part", ".part.mp4")) or file.name.startswith("journal"):
            continue
        if file.suffix in (".json", ".jsonl"):
            lines = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
            assert [json.loads(line) for line in lines]
        elif file.suffix == ".jpg":
            assert cv2.imread(str(file)) is not None
        elif file.suffix == ".mp4":
            assert len(frames(file)) == FRAMES
        else:
            text = file.read_text()
            assert text.endswith("\n") or not text
            assert len({len(row) for row in csv.reader(text.splitlines())}) <= 1


@pytest.mark.parametrize("touch", [2, 13, 20, 27, 33, 40, 52])
def test_killed_between_two_touches_of_the_disk_it_ends_as_if_it_had_not_been(work, whole, tmp_path, touch):
    assert not killed_before_touch(touch, tmp_path, partial(work, tmp_path))
    check_whole(tmp_path)
    assert ended(fork(partial(work, tmp_path)))
    assert contents(tmp_path) == contents(whole)


@pytest.mark.slow
def test_killed_before_every_single_touch_of_the_disk(work, whole, tmp_path):
    touch, done = 0, False
    while not done:
        touch += 1
        out = tmp_path / str(touch)
        done = killed_before_touch(touch, out, partial(work, out))
        check_whole(out)
        assert ended(fork(partial(work, out)))
        assert contents(out) == contents(whole)
    assert touch > 50


@pytest.mark.slow
def test_killed_by_the_clock_again_and_again(work, whole, tmp_path):
    began = time.perf_counter()
    assert ended(fork(partial(work, tmp_path / "timed")))
    longest, moments, kills, runs = (time.perf_counter() - began) / 2, random.Random(0), 0, 0
    while kills < 20:
        out = tmp_path / str(runs)
        if killed_after(moments.random() * longest, partial(work, out)):
            assert contents(out) == contents(whole)
            runs += 1
            continue
        kills += 1
        check_whole(out)
    assert ended(fork(partial(work, out)))
    assert contents(out) == contents(whole)


def test_what_is_done_is_not_looked_at_again(work, whole, tmp_path, capsys):
    assert not killed_before_touch(29, tmp_path, partial(work, tmp_path))
    done = [json.loads(line.split("\t")[0]) for line in (tmp_path / "journal-0.jsonl").read_text().splitlines()[1:]]
    pictures = {file: file.stat().st_mtime_ns for file in (tmp_path / "images").glob("*.jpg")}
    assert done[:3] == [[0, None], [1, None], [2, None]]
    capsys.readouterr()
    assert work(tmp_path) == 0
    told = capsys.readouterr()
    assert f"going on: {len(done)} of 7 files are done" in told.err
    assert "12 images, 1 of them skipped" in told.out
    assert all(file.stat().st_mtime_ns == time for file, time in pictures.items())


def test_a_cut_line_of_the_journal_is_as_if_it_had_not_been_written(work, whole, tmp_path):
    assert not killed_before_touch(27, tmp_path, partial(work, tmp_path))
    journal = tmp_path / "journal-0.jsonl"
    for tail in (journal.read_bytes()[-30:-9], bytes(40), b'[3, null]\t{"file": "cut'):
        with journal.open("ab") as stream:
            stream.write(tail)
        out = tmp_path / "again"
        shutil.copytree(tmp_path, out, ignore=shutil.ignore_patterns("again"))
        assert ended(fork(partial(work, out)))
        assert contents(out) == contents(whole)
        shutil.rmtree(out)


def test_a_video_that_was_cut_in_the_middle_goes_on_at_its_frame_and_is_drawn_whole(work, whole, tmp_path):
    assert ended(fork(partial(work, tmp_path / "full")))
    # the journal as it is after three frames of the video, its pictures and its drawn copy lost
    out = tmp_path / "out"
    out.mkdir()
    lines = journal_of(work, tmp_path / "kept")
    upto = next(i for i, line in enumerate(lines) if line.startswith("[6, 2]"))
    (out / "journal-0.jsonl").write_text("".join(lines[: upto + 1]))
    (out / "images").mkdir()
    for file in (whole / "images").glob("*.jpg"):
        shutil.copy(file, out / "images")
    assert ended(fork(partial(work, out)))
    assert contents(out) == contents(whole)


def journal_of(work, out):
    """The lines of a run's whole journal."""

    def keep():
        from resdet.jobs.journal import Journal

        Journal.remove = lambda self: None
        return work(out)

    assert ended(fork(keep))
    return (out / "journal-0.jsonl").read_text().splitlines(keepends=True)


def test_another_runs_journal_is_not_gone_on_with_and_says_what_differs(
    work, photographs, det_weights, tmp_path, capsys
):
    assert not killed_before_touch(27, tmp_path, partial(work, tmp_path))
    before = contents(tmp_path)
    other = write_weights(tmp_path.parent / "other.pt", seed=5)
    for words, weights, said in (
        (("--top-k", 3), None, "an unfinished run with --top-k None, now 3"),
        ((), other, "an unfinished run with --weights"),
        (("--set", "test.refine=true"), None, "--set nothing, now test.refine=true"),
    ):
        capsys.readouterr()
        assert work(tmp_path, *words, **({"weights": weights} if weights else {})) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
        assert "without journal-0.jsonl it is given up" in line
    assert infer(photographs / "0.png", "--weights", det_weights, "--out", tmp_path) == 2
    assert "an unfinished run with inputs 7 files" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_several_processes_share_the_files_and_one_of_another_number_goes_on(work, whole, tmp_path):
    def one(rank):
        with (tmp_path / f"told{rank}").open("w") as sys.stdout:
            return work(tmp_path / "out")

    together(3, one)
    assert contents(tmp_path / "out") == contents(whole)
    assert "12 images, 1 of them skipped" in (tmp_path / "told0").read_text()
    assert not (tmp_path / "told1").read_text()

    half = tmp_path / "half"  # two of three files done by a process that is not there any more
    half.mkdir()
    lines = journal_of(work, tmp_path / "kept")
    (half / "journal-7.jsonl").write_text("".join(lines[:2] + lines[3:5]))
    (half / "images").mkdir()
    for file in (whole / "images").glob("*.jpg"):
        shutil.copy(file, half / "images")
    together(3, lambda rank: work(half))
    assert contents(half) == contents(whole)


def test_a_folder_that_another_run_writes_into_is_refused_and_left_alone(work, tmp_path, capsys):
    with locked(tmp_path / "out"):
        assert work(tmp_path / "out") == 2
    assert f"{tmp_path / 'out'}: another run is writing there" in capsys.readouterr().err.splitlines()[-1]
    assert not any((tmp_path / "out").iterdir())


def test_results_that_are_gone_at_the_end_are_told_and_replace_nothing(work, whole, tmp_path, monkeypatch, capsys):
    """As when a second run in the folder ends first, or another process wrote into a folder of its own."""
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (out / "images").rename(tmp_path / "images")
    end = Journal.close

    def lose(journal, *, done):
        end(journal, done=done)
        journal.remove()
        shutil.copy(whole / "predictions.jsonl", out)  # the other run's

    monkeypatch.setattr(Journal, "close", lose)
    assert work(out) == 1
    (said,) = (line for line in capsys.readouterr().err.splitlines() if "have no result there" in line)
    assert f"{out}: 7 of 7 files have no result there" in said
    assert (out / "predictions.jsonl").read_bytes() == (whole / "predictions.jsonl").read_bytes()


def test_processes_that_see_different_folders_are_told(work, tmp_path):
    def one(rank):
        with (tmp_path / f"told{rank}").open("w") as sys.stderr:
            code = work(tmp_path / f"of{rank}")
        assert code == (0 if rank else 1)
        return 0

    together(2, one)
    assert "3 of 7 files have no result there" in (tmp_path / "told0").read_text()
    assert not (tmp_path / "of0" / "predictions.jsonl").exists()


def test_a_run_that_was_stopped_goes_on_when_its_image_is_mended(photographs, det_weights, tmp_path, capsys):
    root, out = tmp_path / "images-of-mine", tmp_path / "out"
    shutil.copytree(photographs, root)
    words = [root, "--weights", det_weights, "--out", out, "--format", "jsonl,devkit", "--on-bad-image", "fail"]
    arguments = ["--device", "cpu", *map(str, words)]
    assert cli.run(INFER["main"], arguments) == 1
    assert len(rows(out)) == IMAGES, "what there is, is written"
    shutil.copy(root / "0.png", root / "bad.jpg")
    assert cli.run(INFER["main"], arguments) == 0
    assert "going on: 5 of 7 files are done" in capsys.readouterr().err
    assert len(rows(out)) == IMAGES + 1 + FRAMES
    assert len((out / "images.txt").read_text().splitlines()) == IMAGES + 1 + FRAMES


def test_a_folder_of_the_users_own_in_the_results_stays(photographs, det_weights, tmp_path, capsys):
    for name in {"unfinished", UNFINISHED}:
        (tmp_path / name).mkdir()
        (tmp_path / name / "diary.txt").write_text("mine")
    words = (photographs / "0.png", "--weights", det_weights, "--out", tmp_path, "--format", "jsonl,voc")
    assert infer(*words) == 1  # the one with the name of ours would be removed at the end
    assert f"{UNFINISHED}: Directory not empty" in capsys.readouterr().err
    (tmp_path / UNFINISHED / "diary.txt").rename(tmp_path / "diary.txt")
    (tmp_path / UNFINISHED / "predictions.jsonl").write_text('{"file": "cut off')  # as a killed run leaves it
    assert infer(*words) == 0
    assert not (tmp_path / UNFINISHED).exists()
    assert len(rows(tmp_path)) == 1
    assert [file.read_text() for file in (tmp_path / "diary.txt", tmp_path / "unfinished/diary.txt")] == ["mine"] * 2
