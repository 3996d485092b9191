"""Training R-CNN for localization, from a localizer's proposals (App. C)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resdet import build
from resdet.boxes.geometry import clip
from resdet.config import RCNNConfig
from resdet.data.detection import DetectionImages
from resdet.data.proposals import ProposalFolder
from resdet.data.proposed import ProposedImages, proposed_loader
from resdet.data.records import Records
from resdet.data.viewed_images import ViewedImage, view_loader, viewed_as_drawn_on
from resdet.engine import last_checkpoints
from resdet.engine.distributed import Process
from resdet.engine.fit import Course
from resdet.errors import UsageError
from resdet.inference.rcnn import Rescorer, look_again, shared_crops
from resdet.jobs.localization import metrics
from resdet.jobs.proposing import open_proposer, write_proposals
from resdet.jobs.training import run_course
from resdet.jobs.training_data import TrainingData, check_enough
from resdet.postprocess.merge import best_box
from resdet.predictions.loc import LocPredictions, to_inclusive
from resdet.progress import follow
from resdet.structures import ImageBatch


def launch(config: RCNNConfig, data: TrainingData, me: Process, *, out: Path, resume: bool) -> None:
    """Write the proposals where they are not written yet, and train on them as ``config`` says.

    The folder gets the resolved config, metrics, checkpoints and, if no other is named, the proposals.
    """
    check_parts(config, me)
    last_checkpoints.check_free(out, resume)  # before proposing, which takes a while
    check_enough(config.data.train, data.train, me)
    judged = _evenly_spaced(data.val, config.test.images)
    proposer = open_proposer(config, me)
    where, workers = Path(config.proposals.folder or out / "proposals"), config.data.workers
    written = write_proposals(proposer, where / "train", data.train, me, workers)
    written_of_judged = write_proposals(proposer, where / "val", judged, me, workers)
    del proposer

    torch.manual_seed(config.train.seed)
    model = build.build_rcnn(config, len(data.train.classes))
    unused = replace(config.model.backbone, new_classifier=True)  # whatever classes it was for
    build.load_backbone(model.backbone, unused, config.data)
    build.place(model, me.device, config.train.channels_last)
    plan = build.detection_plan(config, data.train, me)
    whole = DetectionImages(data.train, config.data.longer / config.data.shorter, config.augment, as_drawn_on=True)
    images = ProposedImages(whole, written)

    def batches(start: int) -> Iterable[ImageBatch]:
        return proposed_loader(images, replace(plan, start=start), workers, config.data.multiple)

    def evaluate(step: int) -> dict[str, Any]:
        model.eval()
        rescorer = Rescorer(model, build.build_rescoring(config), precision=config.train.precision)
        images = viewed_as_drawn_on(judged, rescorer.rule.views)
        loader = view_loader(images, config.test.batch_size, workers)
        shown = follow(loader, len(loader), "localize")
        boxes = gt_class_boxes(rescorer, shown, judged, written_of_judged, me.device)
        return {"gt_class_loc_error": gt_class_loc_error(boxes, judged)}

    course = Course(
        plan.steps,
        plan.steps_per_epoch,
        batches,
        evaluate,
        "gt_class_loc_error",
        data.train.path,
        len(data.train),
        size_settings="data.shorter or model.size",
    )
    run_course("rcnn", config, model, data.train.classes, course, me, out=out, resume=resume)


def check_parts(config: RCNNConfig, me: Process) -> None:
    """With ``train.accumulate`` each part of a step draws crops of its own: together they must draw as many objects.

    Raises:
        UsageError: rounded for each part, the share of objects gives fewer than for the whole step.
    """
    parts, share = config.train.accumulate, config.model.object_share
    crops = config.train.batch_size // me.processes * config.model.crops_per_image
    each, whole = int(crops // parts * share), int(crops * share)  # objects, at most
    if parts * each < whole:
        raise UsageError(
            f"train.accumulate {parts}: parts of {crops // parts} crops draw {each} objects each, "
            f"{crops} crops at once {whole} (model.object_share {share})"
        )


def _evenly_spaced(records: Records, count: int) -> Records:
    """``count`` images from all over the set; 0: all of them."""
    if not 0 < count < len(records):
        return records
    return records.select(torch.arange(count) * len(records) // count)


def gt_class_boxes(
    rescorer: Rescorer,
    batches: Iterable[Sequence[ViewedImage]],
    records: Records,
    proposals: ProposalFolder,
    device: torch.device,
) -> Tensor:
    """``(N, 4)``: the box for each image's true class, its proposals judged and moved, in pixels of the image."""
    rule, boxes = rescorer.rule, []
    for image in (image for batch in batches for image in batch):
        size, found = (image.width, image.height), proposals[image.index]
        if not len(found):  # not one was wide enough: the whole image is the best that can be said
            boxes.append(torch.tensor([0.0, 0.0, *size]))
            continue
        crops = shared_crops(found.scores[None], found.boxes[None], size, rule)
        asked = records.labels[image.index : image.index + 1]
        judged = look_again([rescorer], image.pixels, image.views, crops, asked, device)
        boxes.append(clip(best_box(*judged, rule.vote_iou)[0][0], torch.tensor(size)))
    return torch.stack(boxes)


def gt_class_loc_error(boxes: Tensor, records: Records) -> float:
    """The localization error in percent with the true class given, of ``(N, 4)`` boxes for it."""
    drawn = to_inclusive(boxes).astype(np.float64)
    answers = LocPredictions(records.labels[:, None].numpy(), drawn[:, None], drawn)
    return metrics(answers, records)["gt_class_loc_error"]
