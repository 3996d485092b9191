"""Keep freed memory in the process."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def keep_freed_memory() -> bool:
    """Tell glibc to reuse large freed blocks in place of returning them to the kernel; True where it did.

    A training step on the CPU allocates and frees every activation; by default each goes back to the kernel and
    is faulted in again, zeroed, page by page.  Training ResNet-18 at 64x64, batch 128, bf16, 2 cores, three runs of
    each in turn: 476, 391, 486 images/s with the default, 522, 470, 576 with this; 1.10 to 1.20 times as fast.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
