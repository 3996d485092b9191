"""Detection metrics as a table to be read in a terminal."""

from __future__ import annotations

from typing import Any

METRICS = {  # what each is called in print; without torch, for --help names them
    "ilsvrc": "ILSVRC DET",
    "voc07": "VOC 2007, eleven points",
    "voc12": "VOC 2010-12, area",
    "coco": "COCO, IoU 0.50 to 0.95",
}
SHOWN = 20  # classes: of more, the worst and the best


def det_table(metrics: dict[str, Any]) -> str:
    """Several lines of text, without a last newline, from what :func:`resdet.eval.det.det_metrics` returns.

    ``errors``, of :func:`resdet.eval.det_errors.error_costs`, are shown where they are among the metrics.
    """
    known = {name: ap for name, ap in metrics["per_class"].items() if ap is not None}
    lines = [
        f"{METRICS[metrics['metric']]}: {metrics['images']} images, {len(known)} classes with true boxes; AP in %",
        "",
    ]
    lines += _classes(known)
    lines += [
        "",
        f"mAP {metrics['mAP']:.2f}   median AP {metrics['median_AP']:.2f}   over all {len(metrics['per_class'])} "
        f"classes {metrics['mAP_all_classes']:.2f}",
    ]
    if metrics["metric"] == "coco":
        numbers = [f"{name} {_value(metrics[name])}" for name in metrics if name.startswith(("AP", "AR"))]
        lines += ["", "   ".join(numbers[:6]), "   ".join(numbers[6:])]
    if "errors" in metrics:
        lines += ["", *_errors(metrics["errors"])]
    return "\n".join(lines)


def _classes(known: dict[str, float]) -> list[str]:
    rows = [f"{name:<28}{ap:6.2f}" for name, ap in known.items()]
    if len(rows) <= SHOWN:
        return rows
    ranked = sorted(known, key=known.__getitem__)
    half = SHOWN // 2
    chosen = [f"{name:<28}{known[name]:6.2f}" for name in ranked]
    return [*chosen[:half], f"... {len(rows) - 2 * half} classes between", *chosen[-half:]]


def _errors(errors: dict[str, Any]) -> list[str]:
    lines = [f"of what lacks at one IoU (mAP {errors['mAP']:.2f}), mending one kind of error alone would give"]
    for kind, cost in errors.items():
        if kind != "mAP":
            lines.append(f"  {kind:<14}{cost['mAP_lost']:+7.2f}   ({cost['count']})")
    return lines


def _value(number: float | None) -> str:
    return "none" if number is None else f"{number:.2f}"
