"""Train a detector, Faster R-CNN, from a classifier's weights or from none."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resdet import cli
from resdet.config import DetConfig, load_config
from resdet.jobs import detection_training, training
from resdet.jobs.training_data import open_detection_data


def main(argv: list[str] | None = None) -> None:
    args = training.arguments(
        __doc__,
        "python tools/train_det.py configs/det/bccd_r18.yaml model.backbone.weights=runs/cls/best.pt "
        "data.train=voc:DIR:train data.val=voc:DIR:test",
    ).parse_intermixed_args(argv)
    config = load_config(DetConfig, args.config, args.overrides)
    out = training.out_folder(args, config)
    me = training.start(config, args.device)
    data = open_detection_data(config)
    if me.is_main:
        train = config.train
        print(f"learning rate {train.at_its_batch().lr:g}: ", end="")
        print(f"{train.lr:g} for {train.lr_batch or train.batch_size} images, {train.batch_size} a step")
    detection_training.launch(config, data, me, out=out, resume=args.resume)


if __name__ == "__main__":
    sys.exit(cli.run(main))
