"""How every script in ``tools/`` ends: its exit code, what a failure looks like, and how its numbers are written."""

from __future__ import annotations

import errno
import io
import json
import os
import select
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from resdet.errors import InputError, UsageError

DONE, FAILED, WRONG_USAGE = 0, 1, 2
INTERRUPTED = 130  # what a shell gives for Ctrl-C


def run(main: Callable[[list[str] | None], None], argv: Sequence[str] | None = None) -> int:
    """Run a script's ``main`` and answer the code to exit with: ``sys.exit(cli.run(main))``.

    A failure that can be expected (bad input, a full disk, a loss that is not finite, a GPU out of memory) is one
    line on stderr; with ``--debug`` among the arguments it is a traceback.  Any other exception is a fault of the
    program and passes through.

    Args:
        argv: the arguments, without the script's name; None: the process's own.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if sys.stderr is None:  # closed, by ``2>&-``: messages are lost, the work is done all the same
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    if isinstance(sys.stdout, io.TextIOWrapper) and (
        sys.stdout.errors == "strict" or not _is_utf8(sys.stdout.encoding)
    ):
        sys.stdout.reconfigure(errors="backslashreplace")  # as on stderr: letters that its encoding lacks are escaped
    try:
        main(words)
        _leave_others()
        return DONE
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except Exception as error:
        if not _is_expected(error):
            raise
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return FAILED
        if "--debug" in words:
            traceback.print_exc()
        else:
            _say(_one_line(error))
        return WRONG_USAGE if isinstance(error, UsageError) else FAILED


def works_alone() -> bool:
    """Whether this process does a script's work, where it cannot be shared out.

    Under ``torchrun`` the first process works as if it had been started alone, and the others end quietly.
    """
    is_first = os.environ.get("RANK", "0") == "0"
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):  # or it would wait for the others
        os.environ.pop(name, None)
    return is_first


def tells() -> bool:
    """Whether this process prints and writes the results: under ``torchrun`` all have them, and the first does."""
    return int(os.environ.get("RANK", 0)) == 0


def write_json(file: Path, content: Any) -> None:
    """Write plain types as indented JSON; missing folders above the file are made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    file.write_text(text, encoding="utf-8", errors="backslashreplace")  # a file's name may hold bytes that are no UTF-8


def make_room(
    *, files: Iterable[Path | None] = (), folders: Iterable[Path | None] = (), reads: Iterable[Path | str | None] = ()
) -> None:
    """Make the folders of results before the work begins, so that a place that cannot be written to is told at once.

    Args:
        files, folders: where results will be written; None: not asked for.
        reads: files that the work reads, such as predictions and weights, ``torchvision:NAME=FILE`` too; a name that is
            no file does no harm.

    Raises:
        OSError, UsageError: a folder cannot be made or written to; a folder lies where a file is to be written, or a
            file where a folder is wanted; two results go into one file, or one into a file that is read.
    """
    words = [word for file in reads if file for word in (str(file), str(file).partition("=")[2]) if word]
    read = {Path(os.path.expanduser(word)).resolve() for word in words}
    places: set[Path] = set()
    for file in filter(None, files):
        if file.resolve() in places and not file.is_char_device():  # /dev/null takes both
            raise UsageError(f"{file}: named for two results, of which one would be lost")
        if file.resolve() in read and not file.is_char_device():
            raise UsageError(f"{file}: is read, and would be lost if the results were written there")
        places.add(file.resolve())
        if file.is_dir():
            raise UsageError(f"{file}: a folder, where a file is to be written")
        check_folder(file.parent)
        file.parent.mkdir(parents=True, exist_ok=True)
        _check_writable(file if file.exists() else file.parent)
    for folder in filter(None, folders):
        check_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
        _check_writable(folder)


def check_folder(folder: Path) -> None:
    """Make sure that a folder for results is there or can be made, as far as what lies in its place tells.

    Raises:
        UsageError: a file lies there, or where a folder above it is wanted.
    """
    there = next((place for place in (folder, *folder.parents) if os.path.lexists(place)), folder)
    if os.path.lexists(there) and not there.is_dir():
        raise UsageError(f"{there}: {'a file' if there.exists() else 'a link to nothing'}, where a folder is wanted")


def _check_writable(place: Path) -> None:
    if not os.access(place, os.W_OK):
        raise PermissionError(errno.EACCES, "may not be written" + " into" * place.is_dir(), str(place))


def _leave_others() -> None:
    """Leave the process group of ``torchrun``, if this process is in one; else NCCL complains."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _nobody_reads() -> bool:
    """Whether standard output is a closed pipe, as after ``| head``; if so, later output is thrown away."""
    if not hasattr(select, "poll"):  # as on Windows
        return False
    try:
        output = sys.stdout.fileno()
    except OSError:  # it is no file
        return False
    poll = select.poll()
    poll.register(output, select.POLLERR)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return True


def _is_expected(error: Exception) -> bool:
    expected = isinstance(error, InputError | OSError | FloatingPointError) or _is_out_of_memory(error)
    return expected or _is_of_a_file_name(error)


def _is_of_a_file_name(error: Exception) -> bool:
    """Whether a file's name, as a data set's list or table has it, has letters that this locale lacks."""
    return isinstance(error, UnicodeEncodeError) and not _is_utf8(sys.getfilesystemencoding())


def _is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("-", "") == "utf8"


def _is_out_of_memory(error: Exception) -> bool:
    """Of a GPU, or of the machine."""
    if "torch" not in sys.modules:  # then it cannot have raised
        return isinstance(error, MemoryError)
    from resdet.engine.failures import is_out_of_memory

    return is_out_of_memory(error)


def _one_line(error: Exception) -> str:
    if _is_out_of_memory(error) and not isinstance(error, MemoryError):  # a MemoryError is ours, with its own advice
        what = "memory" if "CUDA" not in str(error) else "GPU memory"
        return f"out of {what}, a smaller batch needs less: {str(error).split('. ')[0]}"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    if _is_of_a_file_name(error):
        return f"names of files cannot be in {sys.getfilesystemencoding()}, as this locale has it: LC_ALL=C.UTF-8 helps"
    text = str(error)
    if text.startswith("Caught "):  # by a loader's worker: torch makes its traceback the text, the message comes last
        text = text.rstrip().splitlines()[-1].partition(": ")[2]
    return " ".join(text.split()) or type(error).__name__


def _say(line: str) -> None:
    sys.stderr.write(f"{Path(sys.argv[0]).name}: {line}\n")
