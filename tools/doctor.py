"""Check this machine: packages, GPUs, and whether the operators give right answers on each device.

Put its output into a bug report.  It exits with 1 where something that is needed is missing or broken.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resdet import cli, options
from resdet.errors import InputError

EXAMPLE = """example:
  python tools/doctor.py --json doctor.json"""


def arguments() -> argparse.ArgumentParser:
    parser = options.parser(__doc__, EXAMPLE)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings there")
    return parser


def main(argv: list[str] | None = None) -> None:
    args = arguments().parse_args(argv)

    from resdet.jobs.doctor import checks

    cli.make_room(files=(args.json,))
    found = []
    for check in checks():
        mark = "ok " if check.ok else "BAD" if check.needed else "-  "
        print(f"{mark} {check.what}: {check.found}", flush=True)
        found.append(check)
    if args.json:
        cli.write_json(args.json, [check._asdict() for check in found])
    if bad := [check.what for check in found if check.needed and not check.ok]:
        raise InputError(f"{len(bad)} of {len(found)} are missing or broken: {', '.join(bad)}")


if __name__ == "__main__":
    sys.exit(cli.run(main))
