"""Localize what is on photographs: classes, probabilities and boxes, for files and whole folders."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resdet import cli
from resdet.jobs import trained

EXAMPLE = """example:
  python tools/infer.py --weights runs/loc/best.pt photographs/ 'more/**/*.png' --out runs/found --format jsonl,images

DIR gets predictions.jsonl, predictions.csv (Kaggle's form), predictions.txt (the ILSVRC development kit's: a line an
image in alphabetical order; numbers from 1 in the order of the classes where these are not ImageNet's; zeros for an
image that cannot be read) and images/<relative path>.jpg."""


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="an image, a folder with all below it, or a glob")
    parser.add_argument("--weights", type=Path, required=True, metavar="FILE", help="checkpoint of a localizer")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--format", default="jsonl,images", help="some of jsonl,csv,devkit,images (default: %(default)s)"
    )
    parser.add_argument("--classifier", type=Path, metavar="FILE", help="take the classes from this second network")
    parser.add_argument("--top-k", type=trained.whole_number(1, 5), default=5, metavar="K", help="classes an image")
    parser.add_argument(
        "--score-threshold", type=float, default=0.0, metavar="S", help="least probability of a class (default: 0)"
    )
    parser.add_argument("--on-bad-image", choices=("skip", "fail"), default="skip", help="default: %(default)s")
    trained.add_options(parser)
    return parser


def main(argv: list[str] | None = None) -> None:
    args = arguments().parse_args(argv)

    from tqdm import tqdm  # here, as the rest: --help answers without waiting for torch

    from resdet.data.image_files import find_images
    from resdet.errors import InputError
    from resdet.jobs import folder
    from resdet.jobs.second_classifier import second_guesses

    forms = folder.read_forms(args.format)
    files = find_images(args.inputs)
    model, protocol, classes, how = trained.open_localizer(args.weights, args.settings, args)
    guesses = None
    if args.classifier:
        guesses = second_guesses(args.classifier, args, classes, folder.viewed(files, protocol))
    results = folder.localize(
        model, files, protocol, how, guesses=guesses, top_k=args.top_k, score_threshold=args.score_threshold
    )
    skipped = 0
    with folder.ResultFiles(args.out, forms, files, classes) as out:
        for index, result in enumerate(results):
            if result.error is not None:
                if args.on_bad_image == "fail":
                    raise InputError(result.error)
                tqdm.write(f"skipped: {result.error}", file=sys.stderr)  # above the bar, not through it
                skipped += 1
            out.add(index, result)
    told = f", {skipped} of them skipped because they cannot be read" if skipped else ""
    print(f"{len(files)} images{told}: results in {args.out}")


if __name__ == "__main__":
    sys.exit(cli.run(main))
