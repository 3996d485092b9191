"""Pages of HTML that need nothing beside them: pictures lie within, and there is no script.

Whatever is text is escaped here and nowhere else: file names and class names are data, not markup.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

import cv2
import numpy as np

JPEG_QUALITY = 85
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1100px; padding: 0 1em; color: #222; }
h2 { margin-top: 2em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2em .8em; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 1.2em; }
figure { margin: 0; overflow-wrap: anywhere; }
figure img { width: 100%; }
figcaption { font-size: 13px; white-space: pre-line; }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page.

    Args:
        title: plain text.
        parts: what :func:`heading`, :func:`paragraph`, :func:`table` and :func:`figures` give.
    """
    head = f'<meta charset="utf-8">\n<title>{text(title)}</title>\n<style>{STYLE}</style>'
    body = "\n".join([f"<h1>{text(title)}</h1>", *parts])
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def heading(words: str) -> str:
    """Of a part of the page."""
    return f"<h2>{text(words)}</h2>"


def paragraph(words: str) -> str:
    """Plain text."""
    return f"<p>{text(words)}</p>"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows of plain text or numbers; the first column is on the left, the others on the right."""
    lines = ["<table>", _row("th", header), *(_row("td", row) for row in rows), "</table>"]
    return "\n".join(lines)


def figures(shown: Iterable[tuple[np.ndarray | None, str]]) -> str:
    """Pictures side by side, each with its caption, whose lines stay lines; one without a picture is its caption.

    Args:
        shown: ``(H, W, 3)`` uint8 RGB and plain text.
    """
    cells = [f"<figure>{image(picture)}<figcaption>{text(caption)}</figcaption></figure>" for picture, caption in shown]
    return "\n".join(['<div class="figures">', *cells, "</div>"])


def text(value: object) -> str:
    """Plain text or a number, escaped; bytes of a file's name that are no UTF-8 are written as ``\\udcXX``."""
    return escape(str(value).encode("utf-8", "backslashreplace").decode())


def image(picture: np.ndarray | None) -> str:
    """A picture, ``(H, W, 3)`` uint8 RGB, as an element; nothing for none."""
    if picture is None:
        return ""
    done, data = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done  # a picture of eight bits and at most 65,500 pixels a side always can be written
    return f'<img alt="" src="data:image/jpeg;base64,{b64encode(data.tobytes()).decode("ascii")}">'


def _row(cell: str, values: Sequence[object]) -> str:
    return "<tr>" + "".join(f"<{cell}>{text(value)}</{cell}>" for value in values) + "</tr>"
