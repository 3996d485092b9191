"""Train a classifier: the pretraining that localization and detection start from.

With --finish: take the best weights of a run that has ended, recompute batch norm's statistics as a plain average
over training images, and write them to finished.pt.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resdet import build, cli
from resdet.config import ClsConfig, load_config
from resdet.data.loading import TestImages, test_loader
from resdet.eval.cls import cls_metrics
from resdet.inference.validation import classify_all
from resdet.jobs import training
from resdet.jobs.finishing import finish
from resdet.jobs.training_data import open_data


def main(argv: list[str] | None = None) -> None:
    parser = training.arguments(
        __doc__,
        "python tools/train_cls.py configs/cls/shapes.yaml data.train=shapes:DIR:train data.val=shapes:DIR:val",
    )
    parser.add_argument("--finish", action="store_true", help="recompute batch norm's statistics of an ended run")
    args = parser.parse_intermixed_args(argv)
    config = load_config(ClsConfig, args.config, args.overrides)
    out = training.out_folder(args, config)
    me = training.start(config, args.device)
    data = open_data(config)
    model = build.build_classifier(config, len(data.train.classes))
    if not args.finish:
        build.load_backbone(model.backbone, config.model.backbone, config.data, data.train.classes)
        build.load_pixel_mean(model, config.data)
    build.place(model, me.device, config.train.channels_last)

    def evaluate(images: TestImages) -> dict[str, Any]:
        batches = test_loader(images, config.test.batch_size, config.data.workers)
        answers = classify_all(model, batches, me.device, config.train.precision)
        errors = cls_metrics(answers.ranks.numpy(), "1-crop")
        return {"loss": answers.losses.mean().item(), **{k: v for k, v in errors.items() if isinstance(v, float)}}

    if args.finish:
        done = finish(config, model, data, me, evaluate=evaluate, out=out)
        print(f"{done.file}: batch norm's statistics of {done.images} training images; errors in %")
        for key, name in (("top1_error", "top-1"), ("top5_error", "top-5")):
            print(f"{name} {done.before[key]:.2f} before, {done.after[key]:.2f} after")
        return
    training.launch(
        "cls",
        config,
        model,
        data,
        me,
        evaluate=evaluate,
        best_by="top1_error",
        out=out,
        resume=args.resume,
    )


if __name__ == "__main__":
    sys.exit(cli.run(main))
