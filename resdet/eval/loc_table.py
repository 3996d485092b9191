"""Localization metrics as a table to be read in a terminal."""

from __future__ import annotations

from typing import Any


def loc_table(metrics: dict[str, Any]) -> str:
    """Several lines of text, without a last newline, from what :func:`resdet.eval.loc.loc_metrics` returns."""
    interval = metrics["ci95"]
    lines = [f"{metrics['images']} images, {metrics['blacklisted']} blacklisted; errors in %, 95 % intervals", ""]
    lines.append(f"{'guesses':<12}{'class':<25}class and box")
    for k, errors in metrics["top_k"].items():
        low_high = interval["top_k"][k]
        cls = _value(errors["cls_error"], low_high["cls_error"])
        loc = _value(errors["loc_error"], low_high["loc_error"])
        lines.append(f"{k:<12}{cls:<25}{loc}")
    lines.append("")
    for key, name in _TRUE_CLASS.items():
        none = metrics[key] is None and metrics["gt_class_loc_error"] is not None  # known of every image: there is none
        lines.append(f"{name:<37}{'no images' if none else _value(metrics[key], interval[key])}")
    if every := metrics.get("all_images"):
        known = [(name, every[key]) for key, name in _OF_ALL.items() if every[key] is not None]
        lines += ["", "with the blacklisted images too: " + ", ".join(f"{name} {error:.2f}" for name, error in known)]
    parts = [f"{name.replace('_', ' ')} {share:.2f}" for name, share in metrics["errors"].items()]
    return "\n".join([*lines, "", "five guesses: " + ", ".join(parts)])


_TRUE_CLASS = {
    "gt_class_loc_error": "box, true class given",
    "gt_class_loc_error_class_found": "  where it is among the guesses",
    "gt_class_loc_error_class_missed": "  where it is not",
}
_OF_ALL = {"loc_top1_error": "top-1", "loc_top5_error": "top-5", "gt_class_loc_error": "true class given"}


def _value(error: float | None, low_high: list[float] | None) -> str:
    if error is None or low_high is None:
        return "unknown"
    return f"{error:5.2f} [{low_high[0]:.2f}, {low_high[1]:.2f}]"
