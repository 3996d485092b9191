"""Classification metrics as lines to be read in a terminal."""

from __future__ import annotations

from typing import Any

from resdet.eval.confusion import confused_line


def cls_table(metrics: dict[str, Any]) -> str:
    """Several lines of text, without a last newline, from what ``eval_cls`` writes."""
    networks = f", {n} networks" if (n := metrics.get("networks", 1)) > 1 else ""
    lines = [f"{metrics['images']} images, {metrics['protocol']}{networks}; errors in %, 95 % intervals", ""]
    for key, name in (("top1_error", "top-1"), ("top5_error", "top-5")):
        low, high = metrics["ci95"][key]
        lines.append(f"{name:<12}{metrics[key]:5.2f} [{low:.2f}, {high:.2f}]")
    return "\n".join([*lines, "", confused_line(metrics["confused"])])
