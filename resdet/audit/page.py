"""Findings as one page of HTML that needs nothing beside it, with small pictures of what they are about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from resdet.audit.anchors import in_words
from resdet.audit.findings import KINDS, Box, Finding
from resdet.data.image import load_image
from resdet.errors import InputError
from resdet.report.html import image, text

SHOWN = 60  # findings of a kind; all are in the json
SIDE = 160  # pixels of a small picture's longer side
RED = (230, 30, 30)
STYLE = """body{font:14px sans-serif;margin:2em;color:#222}table{border-collapse:collapse}td,th{text-align:left;
padding:2px 12px 2px 0}section div{display:inline-block;vertical-align:top;width:340px;margin:6px;padding:6px;
border:1px solid #ccc;overflow-wrap:anywhere}img{display:block;margin-bottom:4px}small{color:#666}"""


def page(title: str, sets: Sequence[Mapping[str, Any]], findings: Sequence[Finding]) -> str:
    """The page's text.  File names, class names and whatever else comes from the data set are escaped.

    Args:
        sets: of each split ``spec``, ``images``, ``boxes`` and ``anchors``: what
            :func:`resdet.audit.anchors.recall` gives, or nothing.
    """
    ordered = sorted(findings, key=lambda finding: list(KINDS).index(finding.kind))
    groups = [(kind, list(group)) for kind, group in groupby(ordered, lambda finding: finding.kind)]
    rows = "".join(f"<tr><td>{kind}<td>{len(group)}<td>{text(KINDS[kind])}" for kind, group in groups)
    about = "".join(
        f"<tr><td>{text(one['spec'])}<td>{one['images']} images<td>{one['boxes']} boxes"
        f"<td>{text(in_words(one['anchors'])) if one['anchors'] else ''}"
        for one in sets
    )
    return "".join(
        (
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; ',
            "style-src 'unsafe-inline'\">",
            f"<title>{text(title)}</title><style>{STYLE}</style><h1>{text(title)}</h1>",
            f"<table>{about}</table><h2>{len(findings)} findings</h2><table>{rows}</table>",
            *(_section(kind, group) for kind, group in groups),
            "</html>\n",
        )
    )


def _section(kind: str, group: Sequence[Finding]) -> str:
    more = f" (the first {SHOWN} of {len(group)})" if len(group) > SHOWN else ""
    return f"<section><h2>{kind}{more}</h2>{''.join(_cards(group[:SHOWN]))}</section>"


def _cards(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        picture = _picture(finding.image, finding.box) if finding.image else ""
        yield f"<div>{picture}<small>{text(finding.place)}</small><br>{text(finding.text)}</div>"


def _picture(file: str, box: Box | None) -> str:
    """The image as an element, its box drawn in; nothing where it cannot be read."""
    try:
        pixels = load_image(Path(file))
    except InputError:
        return ""
    scale = SIDE / max(pixels.shape[:2])
    size = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    if box is not None:
        x1, y1, x2, y2 = (int(np.clip(round(side * scale), -SIDE, 2 * SIDE)) for side in box)
        cv2.rectangle(small, (x1, y1), (x2, y2), RED, 1)
    return image(small)
