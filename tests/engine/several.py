"""Several processes that work together over gloo, as ``torchrun`` would start them; forked, torch imported already."""

import os
import signal
import socket
import time

from killing import fork

LONGEST = 120  # seconds; who waits for another for good is killed


def together(processes, work, seconds=LONGEST):
    """Have ``work(rank)`` done by so many processes; fails where one of them does, or hangs.

    What they begin with is what this process has, its seeds too.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def one(rank):
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        return work(rank)

    codes = ended_within(seconds, [fork(lambda rank=rank: one(rank)) for rank in range(processes)])
    assert codes == [0] * processes, f"exit codes {codes}: see above"


def ended_within(seconds, pids):
    """The exit codes of processes; None: it was still running and has been killed."""
    codes, end = dict.fromkeys(pids), time.monotonic() + seconds
    while None in codes.values() and time.monotonic() < end:
        for pid in [pid for pid, code in codes.items() if code is None]:
            if (found := os.waitpid(pid, os.WNOHANG))[0]:
                codes[pid] = os.waitstatus_to_exitcode(found[1])
        time.sleep(0.01)
    for pid in [pid for pid, code in codes.items() if code is None]:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return list(codes.values())
