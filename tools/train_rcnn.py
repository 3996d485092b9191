"""Train R-CNN on a localizer's proposals, from a classifier's weights: the refinement of localization (App. C)."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resdet import cli
from resdet.config import RCNNConfig, load_config
from resdet.jobs import rcnn_training, training
from resdet.jobs.training_data import open_data


def main(argv: list[str] | None = None) -> None:
    args = training.arguments(
        __doc__,
        "python tools/train_rcnn.py configs/rcnn/shapes.yaml model.backbone.weights=runs/cls/best.pt "
        "proposals.weights=runs/loc/best.pt data.train=shapes:DIR:train data.val=shapes:DIR:val",
    ).parse_intermixed_args(argv)
    config = load_config(RCNNConfig, args.config, args.overrides)
    out = training.out_folder(args, config)
    me = training.start(config, args.device)
    data = open_data(config, with_boxes=True)
    rcnn_training.launch(config, data, me, out=out, resume=args.resume)


if __name__ == "__main__":
    sys.exit(cli.run(main))
