"""Detection's average precision by the rules of ILSVRC DET, PASCAL VOC or COCO, and what keeps it from being higher."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resdet import cli, options
from resdet.eval.det_table import METRICS

EXAMPLE = """examples:
  python tools/eval_det.py --predictions det.txt --data ilsvrc-det:/data/ILSVRC:val --json eval.json
  python tools/eval_det.py --weights runs/det/best.pt --data voc:/data/VOC2007:test --errors --out found"""


def arguments() -> argparse.ArgumentParser:
    parser = options.parser(__doc__, EXAMPLE)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--predictions",
        type=Path,
        metavar="FILE|DIR",
        help="DET devkit text, COCO json, jsonl, or the folder of VOC's files; needs no images",
    )
    source.add_argument("--weights", nargs="+", metavar="NAME", help="a detector, or several that answer together")
    options.add_data(parser)
    parser.add_argument("--metric", choices=tuple(METRICS), help="(default: the data set's own; VOC2007: voc07)")
    parser.add_argument(
        "--blacklist",
        metavar="FILE|none",
        help="lines 'image_index wnid' to leave out, for ilsvrc (default: the official list for the official val set)",
    )
    parser.add_argument("--coco-backend", choices=("pycocotools", "faster-coco-eval"), default="pycocotools")
    parser.add_argument("--errors", action="store_true", help="also: what kinds of error cost, and what is confused")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the metrics there")
    parser.add_argument(
        "--out", type=options.folder, metavar="DIR", help="write numbers, pictures and what weights find there"
    )
    options.add_options(parser)
    return parser


def main(argv: list[str] | None = None) -> None:
    args = arguments().parse_args(argv)

    from resdet.data.formats.read_from import read_from  # here: --help answers without waiting for torch
    from resdet.errors import UsageError
    from resdet.eval.confusion import confused_line
    from resdet.eval.det import check_boxes, default_metric
    from resdet.eval.det_blacklist import left_out
    from resdet.eval.det_sanity import sanity_lines
    from resdet.eval.det_table import det_table
    from resdet.jobs.data_sets import open_data_set
    from resdet.jobs.det_report import evaluate, write_predictions
    from resdet.predictions.read import files_of, read_det

    metric = args.metric or default_metric(args.data)
    if args.blacklist and metric != "ilsvrc":
        raise UsageError(f"--blacklist is ILSVRC's, the metric is {metric}")
    if args.predictions and args.settings:
        raise UsageError("--set is for --weights; predictions are as they are")
    given = (args.blacklist, *(args.weights or ()), *files_of(args.predictions))
    cli.make_room(files=(args.json,), folders=(args.out,), reads=(*given, *read_from([args.data], [args.json])))
    records = open_data_set(args.data)
    check_boxes(records, metric)
    pairs = left_out(records, args.blacklist) if metric == "ilsvrc" else None
    if args.weights:
        from resdet.jobs.detection import predict_with  # here: predictions are scored without the networks

        predictions = predict_with(args.weights, args.settings, options.running(args), records)
    else:
        predictions = read_det(args.predictions, records)
    if not cli.tells():
        return  # under torchrun the first process does the rest
    how = {"backend": args.coco_backend, "errors": args.errors, "pictures_to": args.out}
    metrics = evaluate(predictions, records, metric, pairs, **how)
    for file in filter(None, (args.json, args.out and args.out / "eval.json")):
        cli.write_json(file, metrics)
    why = write_predictions(args.out, predictions, records, args.data) if args.weights and args.out else ""
    if pairs is not None and len(pairs):  # what is printed comes last: whoever listens may have gone
        print(f"{len(pairs)} pairs of image and class are blacklisted")
    print("\n".join(sanity_lines(predictions, records)) + "\n")
    confused = [confused_line(metrics["confused"])] if args.errors else []
    print("\n\n".join([det_table(metrics), *confused, *([why] if why else [])]))


if __name__ == "__main__":
    sys.exit(cli.run(main))
