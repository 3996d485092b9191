"""How fast the parts are, beside other ways to the same answers; no ratio is given where the answers differ."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from resdet import cli
from resdet.heads.per_class_rpn import PerClassRPN
from resdet.timing import Row, benchmark_file, compare


def loc(device: torch.device, batch: int = 32, neck: int = 512, classes: int = 1000, anchors: int = 9) -> Iterator[Row]:
    """The class-sliced per-class RPN against its full convolutions, on 7x7 maps: 8 anchors an image, 5 guesses."""
    torch.manual_seed(0)
    rpn = PerClassRPN(1, neck, anchors, classes).to(device)  # from the hidden map on: the neck is the same for both
    hidden = torch.rand(batch, neck, 7, 7, device=device, requires_grad=True)
    index = torch.randint(0, 7 * 7 * anchors, (batch, 8), device=device)
    true = torch.randint(0, classes, (batch,), device=device)
    guessed = torch.randint(0, classes, (batch, 5), device=device)
    images = torch.arange(batch, device=device)[:, None]
    learning = [hidden, *rpn.cls.parameters(), *rpn.reg.parameters()]

    def trained(logits: torch.Tensor, deltas: torch.Tensor) -> list[torch.Tensor]:
        loss = logits.square().mean() + deltas.square().mean()
        return [logits.detach(), deltas.detach(), *torch.autograd.grad(loss, learning)]

    def full_training() -> list[torch.Tensor]:
        logits, deltas = rpn.all_classes(hidden)
        return trained(logits[images, index, true[:, None]], deltas[images, index, true[:, None]])

    @torch.inference_mode()
    def full_test() -> list[torch.Tensor]:
        logits, deltas = rpn.all_classes(hidden)
        return [logits.transpose(1, 2)[images, guessed], deltas.transpose(1, 2)[images, guessed]]

    @torch.inference_mode()
    def sliced_test() -> list[torch.Tensor]:
        return list(rpn.of_classes(hidden, guessed))

    def sliced_training() -> list[torch.Tensor]:
        return trained(*rpn.sampled(hidden, index, true))

    size = f"K {classes}, A {anchors}, 7x7, batch {batch}"
    cases = {"training, forward and backward": (sliced_training, full_training), "testing": (sliced_test, full_test)}
    for name, (ours, theirs) in cases.items():
        yield compare("loc", f"{name} ({size})", ours, "all K classes", theirs, device=device)


SUITES = {"loc": loc}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example:  python tools/benchmark.py --suite loc --json loc.json --threads 1"
    )
    parser.add_argument("--suite", choices=SUITES, action="append", help="one or more of them (default: all)")
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="(default %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="on the CPU (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    rows: list[Row] = []
    for suite in args.suite or SUITES:
        for row in SUITES[suite](device):
            ratio = f"{row.ratio:.1f}x" if row.ratio else "answers differ"
            memory = f", {row.ours_mib:.0f} against {row.peer_mib:.0f} MiB" if row.ours_mib is not None else ""
            print(f"{row.name}: {row.ours_ms:.1f} ms, {row.peer} {row.peer_ms:.1f} ms: {ratio}{memory}", flush=True)
            rows.append(row)
    if args.json:
        args.json.write_text(json.dumps(benchmark_file(rows, device), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(cli.run(main))
