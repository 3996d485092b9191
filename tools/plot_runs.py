"""Draw training and validation error of several runs, plain nets beside residual ones, and their layers' responses.

It reads metrics.jsonl of each run's folder; with --responses also last.pt and images.  A table goes to stdout.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resdet import cli, options
from resdet.errors import UsageError
from resdet.report.axes import page
from resdet.report.pictures import check_ending, save
from resdet.report.runs import History, error_panels, read_histories, response_panels

RISING = ("mAP", "median_AP", "AP", "AR")  # the better the higher; other metrics are errors and losses
LABELS = {"top1_error": "top-1 error, %", "top5_error": "top-5 error, %"}

EXAMPLE = """example, the degradation experiment:
  python tools/plot_runs.py runs/degradation/{plain,residual}-{20,56} --out degradation.png --responses"""


def arguments() -> argparse.ArgumentParser:
    parser = options.parser(__doc__, EXAMPLE)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a run; its name is the curve's")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the picture, .png or .jpg")
    parser.add_argument("--metric", default="top1_error", help="of metrics.jsonl, without val/ (default: top1_error)")
    parser.add_argument("--responses", action="store_true", help="two panels more: each 3x3 layer's response")
    parser.add_argument("--data", default="", metavar="SPEC", help="images for them (default: each run's data.val)")
    parser.add_argument(
        "--images", type=options.whole_number(1), default=500, metavar="N", help="how many of them (default: 500)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table's numbers and the responses there")
    options.add_options(parser)
    return parser


def numbers(history: History, metric: str) -> dict[str, float | None]:
    """What the run came to, null where it is not known."""
    best_of = max if metric.startswith(RISING) else min
    best = best_of((v for v in history.validation if math.isfinite(v)), default=math.nan)
    found = {"epochs": history.epochs[-1], "training": history.training[-1], "validation": history.validation[-1]}
    return {name: v if math.isfinite(v) else None for name, v in (found | {"best validation": best}).items()}


def table(rows: dict[str, dict[str, float | None]], metric: str) -> str:
    width = max(len(name) for name in rows)
    columns = "".join(f"{column:>17}" for column in next(iter(rows.values())))
    lines = [f"{metric} at the end of each run", "", " " * width + columns]
    for name, row in rows.items():
        cells = ("-" if value is None else f"{value:.2f}" for value in row.values())
        lines.append(f"{name:<{width}}" + "".join(f"{cell:>17}" for cell in cells))
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    args = arguments().parse_args(argv)
    if not cli.works_alone():
        return
    if not args.responses and (args.settings or args.data):
        raise UsageError("--set and --data are for --responses: curves are drawn from metrics.jsonl alone")
    check_ending(args.out)
    reads = [run / name for run in args.runs for name in ("metrics.jsonl", "config.yaml", "last.pt")]
    cli.make_room(files=(args.out, args.json), reads=reads)
    histories = read_histories(args.runs, args.metric)
    panels = error_panels(histories, LABELS.get(args.metric, args.metric))
    responses: dict[str, dict[str, float]] = {}
    if args.responses:
        from resdet.jobs.responses import responses_of  # here: curves alone do without the networks

        how = (args.data, args.images, args.settings, options.running(args))
        responses = {history.name: responses_of(history.folder, *how) for history in histories}
        values = {name: list(found.values()) for name, found in responses.items()}
        panels += response_panels(values, [h.name for h in histories if h.plain])
    save(args.out, page(panels, columns=2))
    rows = {history.name: numbers(history, args.metric) for history in histories}
    if args.json:
        content = {"metric": args.metric, "runs": rows, "responses": responses}
        cli.write_json(args.json, content)
    print(table(rows, args.metric))  # last: whoever listens may have gone


if __name__ == "__main__":
    sys.exit(cli.run(main))
