"""Find what is wrong with data sets before anything is trained on them: files, boxes, classes, images they share.

It exits with 0 where nothing is wrong and with 1 where something is.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resdet import cli, options
from resdet.errors import InputError

EXAMPLE = """examples:
  python tools/check_data.py tiny-imagenet:/data/tiny-imagenet-200:train tiny-imagenet:/data/tiny-imagenet-200:val
  python tools/check_data.py voc:/data/VOC2007:trainval --html found.html --json found.json --fix /data/VOC2007-fixed
  python tools/check_data.py coco:/data/train2017:instances_train2017.json --ignore small,near-duplicate"""


def arguments() -> argparse.ArgumentParser:
    parser = options.parser(__doc__, EXAMPLE)
    parser.add_argument(
        "specs", nargs="+", metavar="FORMAT:ROOT:SPLIT", help="data sets; of several, images they share are found too"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all findings and counts there")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with small pictures of findings there")
    parser.add_argument(
        "--fix",
        type=Path,
        metavar="DIR",
        help="write corrected annotations into this new folder, beside links to images (COCO's file alone)",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="whose anchors are tried on the boxes (default: the format's usual)"
    )
    parser.add_argument("--ignore", default="", metavar="KIND,...", help="findings that are not wanted")
    parser.add_argument(
        "--show",
        type=options.whole_number(0),
        default=3,
        metavar="N",
        help="findings of each kind to print (default: 3)",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    args = arguments().parse_args(argv)

    from resdet.data.formats.read_from import read_from
    from resdet.jobs import audit, audit_report  # here: --help answers without waiting for torch
    from resdet.progress import follow

    if not cli.works_alone():
        return
    files = (args.json, args.html)
    cli.make_room(files=files, reads=(args.config, *read_from(args.specs, files)))
    if args.fix:
        audit_report.check_empty(args.fix)
    ignored = [word.strip() for word in args.ignore.split(",") if word.strip()]
    done = audit.audit(args.specs, args.config, ignored, lambda items, count, what: follow(items, count, what, "image"))
    if args.json:
        cli.write_json(args.json, audit_report.content(done))
    if args.html:
        audit_report.write_page(args.html, done)
    corrected = audit_report.write_corrected(args.fix, done) if args.fix else []
    for line in (*audit_report.summary(done, args.show), *corrected):  # last: whoever listens may have gone
        print(line.encode("utf-8", "backslashreplace").decode())  # names may hold bytes that are no UTF-8
    if done.findings:
        raise InputError(f"{len(done.findings)} findings")


if __name__ == "__main__":
    sys.exit(cli.run(main))
