"""Fine-tune a localizer, the per-class RPN or VGG's per-class regression, from a classifier."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resdet import build, cli
from resdet.config import LocConfig, load_config
from resdet.data.loading import TestImages, test_loader
from resdet.inference.locate import Locators, Member
from resdet.inference.validation import mean_losses
from resdet.jobs import localization, training
from resdet.jobs.trained import RunOptions
from resdet.jobs.training_data import open_data


def main(argv: list[str] | None = None) -> None:
    args = training.arguments(
        __doc__,
        "python tools/train_loc.py configs/loc/shapes.yaml model.backbone.weights=runs/cls/best.pt "
        "data.train=shapes:DIR:train data.val=shapes:DIR:val",
    ).parse_intermixed_args(argv)
    config = load_config(LocConfig, args.config, args.overrides)
    out = training.out_folder(args, config)
    me = training.start(config, args.device)
    data = open_data(config, with_boxes=True)
    model = build.build_localizer(config, len(data.train.classes))
    build.start_localizer(model, config, data.train.classes)
    build.place(model, me.device, config.train.channels_last)
    how = RunOptions(me.alone(), config.train.precision, config.test.batch_size, config.data.workers)

    def evaluate(images: TestImages) -> dict[str, Any]:
        losses = mean_losses(model, test_loader(images, how.batch_size, how.workers), how.device, how.precision)
        alone = Member(model, build.build_protocol(config, images.size), precision=how.precision)
        found = localization.predict(Locators((alone,)), data.val, how)
        errors = localization.metrics(found, data.val)
        return {"loss": sum(losses.values()), **{k: v for k, v in errors.items() if isinstance(v, float)}}

    training.launch(
        "loc",
        config,
        model,
        data,
        me,
        evaluate=evaluate,
        # a classifier that does not learn says less and less of what the layers below it have become
        best_by="loc_top5_error" if config.model.class_weight else "gt_class_loc_error",
        out=out,
        resume=args.resume,
    )


if __name__ == "__main__":
    sys.exit(cli.run(main))
