"""Table 13 for your weights and data: each localization method's error, and what it gains over the row above."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resdet import cli, options

EXAMPLE = """example:
  python tools/ablate_loc.py --pcr runs/pcr/best.pt --rpn runs/loc/best.pt runs/loc2/best.pt --rcnn runs/rcnn/best.pt
      --classifier runs/cls/best.pt --data ilsvrc-loc:/data/ILSVRC:val --json table13.json

VGG's per-class regression, the per-class RPN on one crop and densely, R-CNN behind it, and all weights together, on the
same images; differences are paired.  --set rcnn.test.proposals=50 is for the R-CNNs, classifier.data.size=160 for the
classifiers, what has neither prefix for the localizers."""


def arguments() -> argparse.ArgumentParser:
    parser = options.parser(__doc__, EXAMPLE)
    for option, what in (
        ("pcr", "localizers of VGG's method (model.method: pcr)"),
        ("rpn", "localizers that are per-class RPNs"),
        ("rcnn", "what tools/train_rcnn.py makes"),
        ("classifier", "networks that say the classes (default: the localizers)"),
    ):
        parser.add_argument(f"--{option}", type=Path, nargs="+", default=[], metavar="FILE", help=what)
    options.add_data(parser)
    parser.add_argument(
        "--blacklist",
        metavar="FILE|none",
        help="numbers of images to leave out, one a line (default: the official list for the official val set)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    options.add_options(parser)
    return parser


def main(argv: list[str] | None = None) -> None:
    args = arguments().parse_args(argv)

    from tqdm import tqdm  # here, as the rest: --help answers without waiting for torch

    from resdet.data.formats.read_from import read_from
    from resdet.eval.blacklist import blacklisted
    from resdet.jobs.data_sets import open_data_set
    from resdet.jobs.loc_ablation import Ladder, ladder, ladder_table

    given = (args.blacklist, *args.pcr, *args.rpn, *args.rcnn, *args.classifier)
    cli.make_room(files=(args.json,), reads=(*given, *read_from([args.data], [args.json])))
    records = open_data_set(args.data)
    left_out = blacklisted(records, args.blacklist)
    weights = Ladder(args.pcr, args.rpn, args.rcnn, args.classifier)
    rows = []
    for row in ladder(weights, args.settings, options.running(args), records, left_out):
        said = f"{row.method}, {row.testing}: {row.gt_class_loc_error:.2f}, top-5 {row.loc_top5_error:.2f}"
        rows.append(row)
        if cli.tells():  # under torchrun, the first process
            tqdm.write(said, file=sys.stderr)  # the whole table takes a while
            if args.json:
                cli.write_json(args.json, [asdict(row) for row in rows])
    if cli.tells():
        print(f"{rows[0].images} images; errors in %, 95 % intervals\n\n{ladder_table(rows)}")


if __name__ == "__main__":
    sys.exit(cli.run(main))
