"""Classification error, of trained weights or of a predictions file: top-1, top-5, intervals."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resdet import cli, options

EXAMPLE = """examples:
  python tools/eval_cls.py --weights runs/cls/best.pt --data ilsvrc-loc:/data/ILSVRC:val --json eval.json
  python tools/eval_cls.py --weights runs/a/best.pt runs/b/best.pt --protocol dense --data tiny-imagenet:DIR:val"""


def arguments() -> argparse.ArgumentParser:
    parser = options.parser(__doc__, EXAMPLE)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--weights",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="checkpoint of a classifier or localizer, torchvision:NAME[=FILE]; of several, the scores are averaged",
    )
    source.add_argument(
        "--predictions", type=Path, metavar="FILE", help="devkit text, Kaggle CSV or jsonl; needs no images"
    )
    options.add_data(parser)
    parser.add_argument(
        "--protocol", choices=("1-crop", "10-crop", "dense"), help="how weights are tested (default: the config's)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the metrics there")
    parser.add_argument(
        "--out",
        type=options.folder,
        metavar="DIR",
        help="write DIR/eval.json, confusion.csv, and the guesses of weights as eval_loc.py does",
    )
    options.add_options(parser)
    return parser


def main(argv: list[str] | None = None) -> None:
    args = arguments().parse_args(argv)

    from resdet.data.formats.read_from import read_from  # here: --help answers without waiting for torch
    from resdet.data.relabel import check_labelled
    from resdet.errors import UsageError
    from resdet.eval.cls import cls_metrics, guess_ranks
    from resdet.eval.cls_table import cls_table
    from resdet.eval.confusion import class_confusion, most_confused, write_matrix
    from resdet.jobs.data_sets import open_data_set
    from resdet.predictions.read import files_of, read_loc

    reads = (*(args.weights or ()), *files_of(args.predictions), *read_from([args.data], [args.json]))
    cli.make_room(files=(args.json,), folders=(args.out,), reads=reads)
    records = open_data_set(args.data)
    check_labelled(records)
    if args.weights:
        from resdet.jobs.classification import evaluate_together, write_guesses  # here: a file needs no networks

        running, protocol = options.running(args), args.protocol or ""
        metrics, guesses = evaluate_together(args.weights, args.settings, running, records, protocol)
    else:
        if args.protocol or args.settings:
            raise UsageError("--protocol and --set are for --weights; predictions are as they are")
        guesses = read_loc(args.predictions, records.without_boxes()).labels  # nor the sizes that boxes refer to
        metrics = cls_metrics(guess_ranks(guesses, records.labels), "predictions")
    if not cli.tells():
        return  # under torchrun the first process does the rest
    names = records.classes.told_apart()
    matrix = class_confusion(guesses[:, 0], records.labels.numpy(), len(names))
    metrics["confused"] = most_confused(matrix, names)
    if args.out:
        write_matrix(args.out / "confusion.csv", matrix, names)
    for file in filter(None, (args.json, args.out and args.out / "eval.json")):
        cli.write_json(file, metrics)
    if args.weights and args.out:
        write_guesses(args.out, guesses, records)
    print(cls_table(metrics))  # last: whoever listens may have gone


if __name__ == "__main__":
    sys.exit(cli.run(main))
