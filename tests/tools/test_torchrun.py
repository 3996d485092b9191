"""torchrun itself: a process that is killed is started again with its fellows, and the run ends as it would have."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tiny_set
from PIL import Image

from resdet import cli

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from killing import same_run
from several import together

CONFIG = """
data: {size: 32, resize: 32, workers: 1}
model: {backbone: {depth: 18, width: 8}}
train: {epochs: 8, batch_size: 4, lr: 0.01, schedule: cosine, log_every: 1, ema: 0.5, save_every: 2}
"""


def start(tool, *words, restarts):
    """The command under torchrun, two processes, of which each has a core's threads."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node=2", f"--max-restarts={restarts}"]
    command = [sys.executable, *launcher, f"--master-port={port}", str(tiny_set.TOOLS / tool), *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def workers_of(process, tool):
    """The ids of the processes that torchrun has started, in the order of their ranks."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            command = (stat.parent / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue  # it has ended
        if parent == process.pid and tool.encode() in command:
            found.append(int(stat.parent.name))
    return sorted(found)


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.01)


def steps(out):
    file = out / "metrics.jsonl"
    whole = file.read_text().rpartition("\n")[0] if file.exists() else ""
    return [row["step"] for row in map(json.loads, whole.splitlines()) if "loss" in row]


@pytest.mark.slow
def test_a_killed_training_process_is_started_again_and_the_run_ends_as_one_that_was_not_killed(tmp_path):
    data = tiny_set.draw(tmp_path / "set")
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    words = [tmp_path / "tiny.yaml", *tiny_set.specs(data), "--device", "cpu", "--resume"]
    main, whole = tiny_set.main_of("train_cls"), tmp_path / "whole"
    together(2, lambda rank: cli.run(main, [*map(str, words), "--out", str(whole)]), seconds=400)
    out = tmp_path / "out"
    process = start("train_cls.py", *words, "--out", out, restarts=2)
    for step, rank in ((5, 1), (14, 0)):  # the second and the first of them
        wait_for(lambda step=step: step in steps(out), process)
        os.kill(workers_of(process, "train_cls.py")[rank], signal.SIGKILL)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    same_run(out, whole)
    assert steps(out) == steps(whole) == list(range(1, 25))


@pytest.mark.slow
def test_killed_inference_processes_are_started_again_and_no_image_comes_twice(tmp_path, det_weights):
    images = tmp_path / "images"
    images.mkdir()
    for i in range(60):
        pixels = np.random.default_rng(i).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{i:02d}.png")
    words = ["--weights", det_weights, images, "--format", "jsonl,devkit,images", "--batch-size", 1, "--device", "cpu"]
    infer = partial(start, "infer.py", *words, "--out")
    out, whole = tmp_path / "out", tmp_path / "whole"
    alone = [sys.executable, str(tiny_set.TOOLS / "infer.py"), *map(str, words), "--out", str(whole)]
    subprocess.run(alone, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    process = infer(out, restarts=1)
    wait_for(lambda: len([*(out / "images").glob("*.jpg")]) > 20, process)
    os.kill(workers_of(process, "infer.py")[1], signal.SIGKILL)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    assert "60 images: results in" in said
    for name in ("predictions.jsonl", "predictions.txt", "images.txt"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert {file.name for file in out.iterdir()} == {file.name for file in whole.iterdir()}
