"""Work in a process of its own that is killed with SIGKILL: by the clock, or at an exact moment.

The process is forked: torch is imported already, and a death costs milliseconds.
"""

import os
import signal
import sys
import time
import traceback

import torch

from resdet.engine import checkpoint

TOUCHES = ("open", "os.rename", "os.link", "os.remove")  # Python's audit events of everything that changes a folder


def fork(work):
    """Start ``work`` in a process of its own; its id."""
    pid = os.fork()
    if pid:
        return pid
    os.fsync = lambda descriptor: None  # against power cuts, which no test makes, and most of the time a tiny run takes
    code = 1
    try:
        code = work() or 0
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(code)


def ended(pid):
    """Wait for a process; whether it came to its end, not killed."""
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0, "the process failed: see above"
    return True


def killed_after(seconds, work):
    """Kill ``work`` when so much time has passed; whether it was faster."""
    pid = fork(work)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    return ended(pid)


def killed_before_touch(number, folder, work):
    """Kill ``work`` just before it opens, renames, links or removes something in ``folder`` for the ``number``-th time.

    Returns:
        Whether it came to its end with fewer.
    """

    def watched():
        touches = 0

        def hook(event, values):
            nonlocal touches
            if event in TOUCHES and str(values[0]).startswith(str(folder)):
                touches += 1
                if touches == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        work()

    return ended(fork(watched))


def killed_in_checkpoint(number, share, work):
    """Kill ``work`` when this share of its ``number``-th checkpoint is in the file."""
    plain, saves = torch.save, 0

    class Dying:
        def __init__(self, stream, left):
            self.stream, self.left = stream, left

        def write(self, data):
            part = bytes(data)[: self.left]
            self.left -= len(part)
            self.stream.write(part)
            if not self.left:
                self.stream.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            return len(data)

        def flush(self):
            self.stream.flush()

    def save(content, stream):
        nonlocal saves
        saves += 1
        if saves == number:
            start = stream.tell()
            plain(content, stream)
            size = stream.tell() - start
            stream.seek(start)
            stream.truncate()
            stream = Dying(stream, int(size * share))
        plain(content, stream)

    def watched():
        checkpoint.torch.save = save
        work()

    assert not ended(fork(watched)), "it wrote fewer checkpoints"


def identical(one, other, place="it"):
    """Nothing differs, to the last bit; otherwise the assertion says where."""
    assert type(one) is type(other), place
    if isinstance(one, dict):
        assert one.keys() == other.keys(), place
        for key in one:
            identical(one[key], other[key], f"{place}[{key!r}]")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), place
        for i, pair in enumerate(zip(one, other, strict=True)):
            identical(*pair, f"{place}[{i}]")
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other), place
        assert one.stride() == other.stride(), f"{place}: another layout, whose sums may come out otherwise"
    else:
        assert one == other, f"{place}: {one!r} is not {other!r}"


def same_run(out, whole):
    """All that a run leaves is what the one in ``whole`` left: weights, optimizer, averages, schedule..."""
    for name in ("last.pt", "best.pt"):
        mine, other = checkpoint.load(out / name), checkpoint.load(whole / name)
        identical(vars(mine), vars(other), name)
    assert not [file.name for file in out.iterdir() if file.name.endswith(".part")]
