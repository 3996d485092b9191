"""A folder is one run's at a time, also where its process has died and those it forked have not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resdet.errors import UsageError
from resdet.jobs.folder_lock import locked

HOLDER = """
import multiprocessing, sys, time
from pathlib import Path
from resdet.jobs.folder_lock import locked

def rest():
    print("forked", flush=True)
    time.sleep(60)

with locked(Path(sys.argv[1])):
    multiprocessing.get_context("fork").Process(target=rest).start()
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that has the folder, and one forked by it."""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
        start_new_session=True,
    ) as process:
        assert process.stdout.readline() == b"forked\n"
        yield process
        os.killpg(process.pid, signal.SIGKILL)


def test_what_another_process_has_is_refused_in_one_line(tmp_path, holder):
    with pytest.raises(UsageError, match=f"^{tmp_path}: another run is writing there"), locked(tmp_path):
        pytest.fail("it came in")


def test_a_killed_process_lets_go_at_once_though_one_that_it_forked_lives_on(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    for _ in range(20):  # the kernel closes what it had, within milliseconds
        try:
            with locked(tmp_path):
                break
        except UsageError:
            time.sleep(0.1)
    else:
        pytest.fail("it is still held")
    os.killpg(holder.pid, 0)  # the forked one is there


def test_it_can_be_had_again_after_an_error_and_leaves_no_file(tmp_path):
    folder = tmp_path / "runs" / "one"
    with pytest.raises(KeyError), locked(folder):
        raise KeyError
    with locked(folder), pytest.raises(UsageError, match="another run"), locked(folder):
        pytest.fail("it came in twice")
    assert list(folder.iterdir()) == []


def test_a_disk_without_locks_is_written_to_all_the_same(tmp_path, monkeypatch):
    import fcntl

    def fail(file, how):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", fail)
    with locked(tmp_path), locked(tmp_path):
        pass
