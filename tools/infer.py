"""Find what is on photographs and videos: classes, scores and boxes, for files and whole folders."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resdet import cli, options

EXAMPLE = """examples:
  python tools/infer.py --weights runs/det/best.pt photographs/ 'more/**/*.png' clip.mp4 --out runs/found
  python tools/infer.py --weights runs/loc/best.pt photographs/ --out runs/found --format jsonl,csv
  python tools/infer.py --weights torchvision:ResNet50_Weights.IMAGENET1K_V2 photographs/ --out runs/found

Killed and started again, it goes on where it was, by the journal that is in DIR until all is written.  Under torchrun
the files are dealt out to the processes.  An ended run's files are replaced in the forms that are asked for; those of
other forms, and pictures of other inputs, stay in DIR beside them.  DIR gets
  jsonl   predictions.jsonl, where frame 12 of a video is called clip.mp4#000012
  csv     predictions.csv: a row a detection; of a localizer or classifier Kaggle's (csv-numbers:
          predictions.numbers.csv, line numbers in place of WNIDs)
  coco    predictions.json: COCO's results, and images.json: the images and categories that their numbers mean
  voc     predictions/comp4_det_test_<class>.txt
  devkit  predictions.txt, the ILSVRC development kit's, and of a detector images.txt and classes.txt: what its
          numbers mean.  They are COCO's and ILSVRC's own for their classes, elsewhere places in the list of
          classes, from 1; images go by their alphabetical order, or, where there are videos, by that of the
          results.  Of a localizer or classifier: a line an image in alphabetical order, zeros for one that
          cannot be read
  images  images/<relative path>.jpg with boxes, and .mp4 of videos
A classifier's box is the whole image."""


def arguments() -> argparse.ArgumentParser:
    parser = options.parser(__doc__, EXAMPLE)
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="an image, a video, a folder with all below it, or a glob"
    )
    parser.add_argument(
        "--weights",
        action="append",
        required=True,
        metavar="NAME",
        help="of a detector, localizer or classifier; again: an ensemble",
    )
    parser.add_argument("--out", type=options.folder, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--format", default="jsonl,images", help="some of jsonl,csv,csv-numbers,coco,voc,devkit,images (%(default)s)"
    )
    for option, what in (("rcnn", "judges a localizer's boxes"), ("classifier", "says a localizer's classes")):
        help_text = f"a network that {what}; again: an ensemble"
        parser.add_argument(f"--{option}", action="append", default=[], metavar="NAME", help=help_text)
    parser.add_argument(
        "--top-k", type=options.whole_number(1), metavar="K", help="detections, or classes, an image (default: 100; 5)"
    )
    parser.add_argument(
        "--score-threshold",
        type=options.share,
        metavar="S",
        help="least score (default: 0.05 for detectors, else 0)",
    )
    parser.add_argument(
        "--draw-above",
        type=options.finite_number,
        metavar="S",
        help="least score in pictures (default: 0.5 for detectors, else 0)",
    )
    parser.add_argument("--on-bad-image", choices=("skip", "fail"), default="skip", help="default: %(default)s")
    options.add_options(parser)
    return parser


def main(argv: list[str] | None = None) -> None:
    args = arguments().parse_args(argv)
    cli.check_folder(args.out)

    from tqdm import tqdm  # here, as the rest: --help answers without waiting for torch

    from resdet.jobs.infer import infer

    count = infer(args, lambda line: tqdm.write(line, file=sys.stderr))  # above the bar, not through it
    if cli.tells():
        told = f", {count.skipped} of them skipped because they cannot be read" if count.skipped else ""
        print(f"{count.images} images{told}: results in {args.out}")


if __name__ == "__main__":
    sys.exit(cli.run(main))
