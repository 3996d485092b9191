"""What each of the paper's improvements adds to a detector: Table 9's rows for your weights and data."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resdet import cli, options
from resdet.eval.det_table import METRICS

EXAMPLE = """example:
  python tools/ablate_det.py --weights runs/det/best.pt runs/context/best.pt --data voc:/data/VOC2007:test --json F

Baseline, box refinement, box voting, global context (where weights that were trained with it are among those given),
multi-scale testing, and the ensemble of all weights: each on top of the last.  Scales are those of 200, 400, 600, 800
and 1000 for a detector of 600, in proportion for another."""


def arguments() -> argparse.ArgumentParser:
    parser = options.parser(__doc__, EXAMPLE)
    parser.add_argument("--weights", nargs="+", required=True, metavar="NAME", help="a detector, or several")
    options.add_data(parser)
    parser.add_argument("--metric", choices=tuple(METRICS), help="(default: the data set's own; VOC2007: voc07)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, with all metrics")
    options.add_options(parser)
    return parser


def main(argv: list[str] | None = None) -> None:
    args = arguments().parse_args(argv)

    from tqdm import tqdm  # here, as the rest: --help answers without waiting for torch

    from resdet.data.formats.read_from import read_from
    from resdet.eval.det import check_boxes, default_metric, det_metrics
    from resdet.eval.det_blacklist import left_out
    from resdet.jobs.ablation import ablation, ablation_table
    from resdet.jobs.data_sets import open_data_set

    cli.make_room(files=(args.json,), reads=(*args.weights, *read_from([args.data], [args.json])))
    metric = args.metric or default_metric(args.data)
    records = open_data_set(args.data)
    check_boxes(records, metric)
    pairs = left_out(records, None) if metric == "ilsvrc" else None
    rows = []
    running = options.running(args)
    for row in ablation(
        args.weights, args.settings, running, records, lambda found: det_metrics(found, records, metric, left_out=pairs)
    ):
        rows.append(row)
        if cli.tells():  # under torchrun, the first process
            tqdm.write(f"{row.name}: mAP {row.metrics['mAP']:.2f}", file=sys.stderr)  # the whole table takes a while
            if args.json:
                cli.write_json(args.json, [asdict(row) for row in rows])
    if cli.tells():
        print(f"{len(records)} images, {metric}; AP in %\n\n{ablation_table(rows)}")


if __name__ == "__main__":
    sys.exit(cli.run(main))
