"""What the audit of data sets found, as lines, as JSON, as a page, and as corrected annotations."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from resdet.audit.anchors import in_words
from resdet.audit.findings import KINDS
from resdet.audit.page import page
from resdet.audit.sheet import Correction
from resdet.cli import check_folder
from resdet.errors import UsageError
from resdet.jobs.audit import Audit

NAMED = 5  # classes that a line names


def summary(done: Audit, shown: int = 3) -> list[str]:
    """The report in lines; ``shown``: findings of each kind."""
    lines = []
    for one, anchors in zip(done.checked, done.anchors, strict=True):
        boxes = sum(one.boxes.values())
        classes = one.boxes or one.images
        lines.append(f"{one.spec}: {one.image_count} images, {boxes} boxes, {len(classes)} classes")
        if classes:
            (most, high), (least, low) = classes.most_common()[0], classes.most_common()[-1]
            lines.append(f"  most often {most} ({high}), least often {least} ({low})")
        if one.unused:
            rest = f" and {len(one.unused) - NAMED}" * (len(one.unused) > NAMED)
            lines.append(f"  {len(one.unused)} more classes have none: {', '.join(one.unused[:NAMED])}{rest}")
        if anchors:
            lines.append(f"  {in_words(anchors)}")
    for kind, count in done.counts().items():
        lines.append(f"{count:>7} {kind}: {KINDS[kind]}")
        those = [finding for finding in done.findings if finding.kind == kind]
        lines += [f"          {finding.place}: {finding.text}" for finding in those[:shown]]
    rate = done.images / max(done.seconds, 1e-9)
    return [*lines, f"{len(done.findings)} findings; {done.images} images in {done.seconds:.1f} s, {rate:.0f} a second"]


def content(done: Audit) -> dict[str, Any]:
    """The report as plain types."""
    findings = [{**f._asdict(), "box": f.box and [round(side, 2) for side in f.box]} for f in done.findings]
    return {"sets": _sets(done), "counts": done.counts(), "findings": findings, "seconds": round(done.seconds, 2)}


def _sets(done: Audit) -> list[dict[str, Any]]:
    return [
        {
            "spec": one.spec,
            "images": one.image_count,
            "boxes": sum(one.boxes.values()),
            "classes": {
                name: {"images": one.images[name], "boxes": one.boxes[name]}
                for name in sorted({*one.images, *one.boxes, *one.unused})
            },
            "anchors": anchors,
        }
        for one, anchors in zip(done.checked, done.anchors, strict=True)
    ]


def write_page(file: Path, done: Audit) -> None:
    """Write the findings with small pictures."""
    file.parent.mkdir(parents=True, exist_ok=True)
    title = " and ".join(one.spec for one in done.checked)
    file.write_text(page(title, _sets(done), done.findings), encoding="utf-8")


def check_empty(folder: Path) -> None:
    """Make sure that nothing is overwritten, least of all the annotations that are to be corrected.

    Raises:
        UsageError: there is something in the folder already, or a file where it would be made.
    """
    if folder.exists() and (not folder.is_dir() or os.listdir(folder)):
        raise UsageError(
            f"--fix: {folder} is there already; wanted a new or empty folder, annotations stay as they are"
        )
    check_folder(folder)


def write_corrected(folder: Path, done: Audit) -> list[str]:
    """Write the annotations of every set, corrected, and say in lines what was done.

    Splits of one folder are written into one; where there are several folders, each gets one of its own.  Each split
    is given the corrections of all of its folder: they may have annotations and lists in common.
    """
    roots = list(dict.fromkeys(one.opened.root for one in done.checked if one.opened))
    together: dict[Path, dict[str, Correction]] = {root: {} for root in roots}
    for one in done.checked:
        if one.opened:
            together[one.opened.root] |= one.corrections
    lines = []
    for one in done.checked:
        if one.opened is None or one.opened.write is None:
            lines.append(f"{one.spec}: has no boxes to be corrected")
            continue
        to = folder if len(roots) == 1 else folder / str(roots.index(one.opened.root) + 1)
        one.opened.write(to, together[one.opened.root])
        out = sum(correction.leave_out for correction in one.corrections.values())
        lines.append(f"{one.spec}: {len(one.corrections) - out} annotations corrected, {out} left out, in {to}")
    return lines
