"""Localization errors by ILSVRC's rule: top-1 to top-5, with the true class given, and what went wrong."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resdet import cli, options

EXAMPLE = """examples:
  python tools/eval_loc.py --predictions loc.txt --data ilsvrc-loc:/data/ILSVRC:val --json eval.json
  python tools/eval_loc.py --weights runs/loc/best.pt --protocol dense --data ilsvrc-loc:/data/ILSVRC:val --out found
  python tools/eval_loc.py --weights A.pt B.pt --rcnn C.pt D.pt --classifier E.pt --data ilsvrc-loc:/data/ILSVRC:val"""


def arguments() -> argparse.ArgumentParser:
    parser = options.parser(__doc__, EXAMPLE)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--predictions", type=Path, metavar="FILE", help="devkit text, Kaggle CSV or jsonl; needs no images"
    )
    source.add_argument(
        "--weights", type=Path, nargs="+", metavar="FILE", help="a localizer, or several whose candidates are united"
    )
    options.add_data(parser)
    parser.add_argument(
        "--blacklist",
        metavar="FILE|none",
        help="numbers of images to leave out, one a line (default: the official list for the official val set)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the metrics there")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page there that shows where the errors are")
    parser.add_argument(
        "--out",
        type=options.folder,
        metavar="DIR",
        help="write DIR/eval.json and errors.html, and what weights predict",
    )
    parser.add_argument(
        "--rcnn", type=Path, nargs="+", default=[], metavar="FILE", help="R-CNNs that judge the candidates together"
    )
    parser.add_argument(
        "--classifier", type=Path, nargs="+", default=[], metavar="FILE", help="networks that say the classes together"
    )
    parser.add_argument("--protocol", choices=("1-crop", "dense"), help="how to test weights (default: the config's)")
    parser.add_argument("--oracle", action="store_true", help="also: the true-class error of the best candidate boxes")
    options.add_options(parser)
    return parser


def main(argv: list[str] | None = None) -> None:
    args = arguments().parse_args(argv)

    from resdet.data.formats.read_from import read_from  # here: --help answers without waiting for torch
    from resdet.errors import UsageError
    from resdet.eval.blacklist import blacklisted
    from resdet.eval.loc_table import loc_table
    from resdet.jobs.data_sets import open_data_set
    from resdet.jobs.loc_errors import judge, write_judged
    from resdet.predictions.read import files_of, read_loc
    from resdet.predictions.write import write_loc

    files = (args.json, args.html)
    reads = (args.blacklist, *(args.weights or ()), *args.rcnn, *args.classifier, *files_of(args.predictions))
    cli.make_room(files=files, folders=(args.out,), reads=(*reads, *read_from([args.data], files)))
    records = open_data_set(args.data)
    left_out = blacklisted(records, args.blacklist)
    if args.weights:
        from resdet.jobs.localization import LocWeights, oracle_misses, predict_with  # here: a file needs no networks

        settings = [*args.settings, *([f"test.protocol={args.protocol}"] if args.protocol else [])]
        networks, running = LocWeights(args.weights, args.rcnn, args.classifier), options.running(args)
        predictions = predict_with(networks, settings, running, records)
        missed = oracle_misses(args.weights, settings, running, records) if args.oracle else None
    elif args.classifier or args.rcnn or args.protocol or args.settings or args.oracle:
        raise UsageError("--rcnn, --classifier, --protocol, --oracle and --set are for --weights, not for predictions")
    else:
        predictions, missed = read_loc(args.predictions, records), None
    if not cli.tells():
        return  # under torchrun the first process does the rest
    if args.weights and args.out:
        write_loc(args.out, predictions, records)
    judged = judge(predictions, records, left_out)
    if missed is not None:
        judged.metrics["oracle_loc_error"] = 100.0 * float(missed[~left_out].mean())
    write_judged(judged, args.json, args.html, args.out)
    print(loc_table(judged.metrics))  # last: whoever listens may have gone
    if missed is not None:
        print(f"\nbest candidate box always chosen, true class given: {judged.metrics['oracle_loc_error']:.2f}")


if __name__ == "__main__":
    sys.exit(cli.run(main))
