"""Classification error, of trained weights on the centre crop or of a predictions file: top-1, top-5, intervals."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resdet import cli, trained

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from resdet.data.records import Records

EXAMPLE = """example:
  python tools/eval_cls.py --weights runs/cls/best.pt --data ilsvrc-loc:/data/ILSVRC:val --json eval.json"""


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--weights", type=Path, metavar="FILE", help="checkpoint of a classifier or localizer, torchvision:NAME[=FILE]"
    )
    source.add_argument(
        "--predictions", type=Path, metavar="FILE", help="devkit text, Kaggle CSV or jsonl; needs no images"
    )
    parser.add_argument("--data", required=True, metavar="FORMAT:ROOT:SPLIT", help="the data set that is evaluated on")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the metrics there")
    trained.add_options(parser)
    return parser


def table(metrics: dict[str, Any]) -> str:
    lines = [f"{metrics['images']} images, {metrics['protocol']}; errors in %, 95 % intervals", ""]
    for key, name in (("top1_error", "top-1"), ("top5_error", "top-5")):
        low, high = metrics["ci95"][key]
        lines.append(f"{name:<12}{metrics[key]:5.2f} [{low:.2f}, {high:.2f}]")
    return "\n".join(lines)


def ranks_of_weights(args: argparse.Namespace, records: Records) -> NDArray[np.int64]:
    from resdet.data.loading import TestImages, test_loader
    from resdet.data.relabel import relabel
    from resdet.inference import classify_all
    from resdet.progress import follow

    loaded, how = trained.open_trained(args.weights, args.settings, args)
    images = TestImages(
        relabel(records, loaded.classes, args.weights), loaded.config.data.resize, loaded.config.data.size
    )
    batches = test_loader(images, how.batch_size, how.workers)
    answers = classify_all(loaded.model, follow(batches, len(batches), "classify"), how.device, how.precision)
    return answers.ranks.numpy()


def main(argv: list[str] | None = None) -> None:
    args = arguments().parse_args(argv)

    from resdet.data.formats import open_records  # here: --help answers without waiting for torch
    from resdet.data.relabel import check_labelled
    from resdet.eval.cls import cls_metrics, guess_ranks
    from resdet.predictions.read import read_loc

    records = open_records(args.data)
    check_labelled(records)
    if args.weights:
        metrics = cls_metrics(ranks_of_weights(args, records), "1-crop")
    else:
        metrics = cls_metrics(guess_ranks(read_loc(args.predictions, records).labels, records.labels), "predictions")
    print(table(metrics))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(cli.run(main))
