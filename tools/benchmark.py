"""How fast the parts are, beside other ways to the same answers; no ratio is given where the answers differ."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from resdet import cli, options
from resdet.benchmarks import data, det, exported, loc, ops, pyramid
from resdet.benchmarks import eval as evaluation
from resdet.benchmarks.timing import Row, benchmark_file, measured_on
from resdet.engine.distributed import find_device

SUITES: dict[str, tuple[Callable[..., Iterator[Row]], ...]] = {
    "data": (data.rows,),
    "det": (det.rows, pyramid.rows, exported.rows),
    "eval": (evaluation.rows,),
    "loc": (loc.rows,),
    "ops": (ops.rows,),
}


def main(argv: list[str] | None = None) -> None:
    parser = options.parser(__doc__, "example:\n  python tools/benchmark.py --suite loc --json loc.json --threads 1")
    parser.add_argument("--suite", choices=SUITES, action="append", help="again: several (default: all)")
    options.add_device(parser)
    parser.add_argument(
        "--threads",
        type=options.whole_number(1, 1024),
        default=torch.get_num_threads(),
        help="on the CPU (default %(default)s)",
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="JPEGs for the suite data (default: drawn ones)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    args = parser.parse_args(argv)
    if not cli.works_alone():
        return
    device = find_device(args.device)
    cli.make_room(files=(args.json,))
    torch.set_num_threads(args.threads)
    print(line_of_machine(measured_on(device)), flush=True)
    rows: list[Row] = []
    for suite in args.suite or SUITES:
        of_data = {"images": args.images} if suite == "data" else {}
        for row in chain.from_iterable(part(device, **of_data) for part in SUITES[suite]):
            rows.append(row)
            if args.json:  # after each: what is measured is kept, whatever comes
                cli.write_json(args.json, benchmark_file(rows, device))
            print(line_of(row), flush=True)


def line_of_machine(on: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in on["versions"].items())
    return f"{on['device']}; {versions}; {on['machine']}"


def line_of(row: Row) -> str:
    if row.peer_ms is None:
        return f"{row.name}: {row.ours_ms:.0f} ms{'' if row.agree else ': wrong answer'}"
    ratio = f"{row.ratio:.2f}x" if row.ratio else "answers differ"
    memory = f", {row.ours_mib:.0f} against {row.peer_mib:.0f} MiB" if row.ours_mib is not None else ""
    spread = f", spread {100 * row.spread:.0f} %"  # of the middle half of the times
    return f"{row.name}: {_ms(row.ours_ms)}, {row.peer} {_ms(row.peer_ms)}: {ratio}{memory}{spread}"


def _ms(time: float) -> str:
    return f"{time:.0f} ms" if time >= 100 else f"{time:#.3g} ms"


if __name__ == "__main__":
    sys.exit(cli.run(main))
