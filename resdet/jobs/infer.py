"""``tools/infer.py``'s work, from its arguments to files of results; killed and started again, it goes on."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from resdet.data import image_files, video
from resdet.data.image_files import ImageFile
from resdet.data.records import Classes
from resdet.engine import distributed
from resdet.engine.distributed import Process
from resdet.errors import InputError, naming
from resdet.jobs.folder_lock import locked
from resdet.jobs.journal import Journal
from resdet.jobs.looker import Looker, look, open_looker
from resdet.jobs.result_files import PICTURES, Count, ResultFiles, read_forms


def infer(args: argparse.Namespace, tell: Callable[[str], None]) -> Count:
    """Look at every file that was asked for and write what is there.

    Each result is in a journal in ``args.out`` before the next one is made; the files of results are made of it at the
    end, whole, and it is removed.  Under ``torchrun`` the files are dealt out to the processes.

    Args:
        args: of ``tools/infer.py``.
        tell: called with one line about each image that is skipped, and what lies in the folder from before.

    Returns:
        What has been looked at, now and before, by all processes.

    Raises:
        UsageError: options that do not fit; the folder holds another unfinished run, or another process writes there.
        InputError: files or weights that cannot be used; an image, where ``args.on_bad_image`` is ``fail``; results of
            other processes that are not in the folder, or that another run in it has removed.
    """
    files = image_files.find_images(args.inputs, (*image_files.ENDINGS, *video.ENDINGS))
    run = _description(args, files)
    journal = Journal(args.out, run, len(files))
    me = distributed.start(args.device)
    left = (~journal.done).nonzero()[0].tolist()
    mine = left[me.rank :: me.processes]
    looker = open_looker(args, [files[place] for place in mine])
    results = ResultFiles(
        args.out, read_forms(args.format, looker.task), files, looker.classes, looker.task, args.draw_above
    )
    distributed.wait(me)  # all have read the journals
    afresh = len(left) == len(files) and not any(journal.frames_done(place) for place in left)
    with locked(args.out) if me.is_main else nullcontext():
        if me.is_main:
            if not afresh:
                tell(f"going on: {len(files) - len(left)} of {len(files)} files are done")
            if unread := image_files.left_out(args.inputs):
                tell(f"left out: {len(unread)} photographs of a kind that is not read, first {unread[0]}: convert them")
            _begin(args.out, results, afresh, tell)
        _look(looker, files, mine, journal, results, me, tell, skips_bad=args.on_bad_image != "fail")
        distributed.wait(me)
        journal = Journal(args.out, run, len(files))  # with what all have added
        distributed.wait(me)
        return _end(args.out, files, journal, results, looker.classes) if me.is_main else Count(0, 0)


def _begin(out: Path, results: ResultFiles, afresh: bool, tell: Callable[[str], None]) -> None:
    with naming(out):
        results.begin(afresh=afresh)
    if others := results.others():
        first = f"{others[0]} and {len(others) - 1} more" if others[1:] else others[0]
        tell(f"{out} holds {first} in forms that are not asked for now: not of this run, and left as they are")


def _end(out: Path, files: Sequence[ImageFile], journal: Journal, results: ResultFiles, classes: Classes) -> Count:
    """Make the files of results, if every file has one."""
    if missing := (~journal.done).nonzero()[0].tolist():  # the files of results stay as they are
        raise InputError(
            f"{out}: {len(missing)} of {len(files)} files have no result there, first {files[missing[0]].file}: "
            "all processes must see the same folder, and no other run may write into it at the same time"
        )
    with naming(out):
        count = results.write(journal.results(classes), done=True)
    journal.remove()
    return count


def _look(
    looker: Looker,
    files: Sequence[ImageFile],
    mine: Sequence[int],
    journal: Journal,
    results: ResultFiles,
    me: Process,
    tell: Callable[[str], None],
    *,
    skips_bad: bool,
) -> None:
    """Look at this process's files; a picture is there before the journal says that its image is done."""
    journal.begin(me.rank)
    try:
        for found in look(looker, files, mine, journal.frames_done, shows=me.is_main):
            if found.result.error is not None:
                if not skips_bad:
                    raise InputError(found.result.error)
                tell(f"skipped: {found.result.error}")
            with naming(journal.folder):
                for earlier in journal.earlier(found, looker.classes):
                    results.draw(earlier)
                results.draw(found)
            journal.add(found, looker.classes.names)
    except BaseException:
        journal.close(done=False)
        if me.processes == 1:  # what was found is of use as it is
            with suppress(OSError):
                so_far = Journal(journal.folder, journal.run, len(files))
                results.write(so_far.results(looker.classes), done=False)
        raise
    results.end_pictures()
    journal.close(done=True)


def _description(args: argparse.Namespace, files: Sequence[ImageFile]) -> dict[str, str]:
    """All that decides what is found, and what is drawn."""
    paths = "\0".join(str(file.file) for file in files).encode("utf-8", errors="surrogateescape")
    pictures = PICTURES in args.format.split(",")
    return {
        "inputs": f"{len(files)} files ({hashlib.sha256(paths).hexdigest()[:8]})",
        "--weights": ", ".join(map(_known, args.weights)),
        "--rcnn": ", ".join(map(_known, args.rcnn)) or "none",
        "--classifier": ", ".join(map(_known, args.classifier)) or "none",
        "--set": " ".join(args.settings) or "nothing",
        "--top-k": str(args.top_k),
        "--score-threshold": str(args.score_threshold),
        "--format": "with images" if pictures else "without images",
        "--draw-above": str(args.draw_above),
    }


def _known(weights: str) -> str:
    """What names weights, and what is in the file: it may be another one by now."""
    named = (Path(weights), Path(weights.partition("=")[2]))  # a file's own name may have "=" in it
    file = next((file for file in named if file.is_file()), None)
    if file is None:
        return weights
    with file.open("rb") as stream:
        return f"{weights} ({hashlib.file_digest(stream, 'sha256').hexdigest()[:8]})"
