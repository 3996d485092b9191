"""Training detectors: approximately jointly, or in Faster R-CNN's four alternating steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from resdet import build
from resdet.config import DetConfig, to_dict
from resdet.data.detection import DetectionImages, DetectionTestImages, detection_loader, detection_test_loader
from resdet.engine import checkpoint, distributed, last_checkpoints
from resdet.engine.checkpoint import Checkpoint
from resdet.engine.distributed import Process
from resdet.engine.fit import Course
from resdet.errors import InputError
from resdet.eval.det import default_metric, det_metrics
from resdet.inference.validation import mean_losses
from resdet.jobs.detection import Ensemble
from resdet.jobs.trained import RunOptions
from resdet.jobs.training import run_course, write_config
from resdet.jobs.training_data import TrainingData, check_enough
from resdet.precision import autocast
from resdet.structures import ImageBatch

STEPS = ("step1", "step2", "step3", "step4")  # folders of the alternating schedule's runs
Proposed = Callable[[Iterable[ImageBatch]], Iterable[ImageBatch]]  # adds proposals to batches, or leaves them


@dataclass(frozen=True)
class Training:
    """What all runs of a training share: one run where it is joint, four where it alternates."""

    config: DetConfig
    data: TrainingData
    me: Process
    out: Path
    resume: bool

    def new_detector(self) -> build.Detector:
        """A detector as training starts; each call makes the same one."""
        torch.manual_seed(self.config.train.seed)  # resumed, training has not drawn numbers in between
        model = build.build_detector(self.config, len(self.data.train.classes))
        build.start_detector(model, self.config, self.data.train.classes)
        build.place(model, self.me.device, self.config.train.channels_last)
        return model

    def train(self, model: build.Detector, out: Path, proposer: build.Detector | None = None) -> None:
        """One run, from its beginning or from where it was cut off; afterwards ``model`` has the weights of its end.

        Args:
            proposer: the detector that proposes regions; None: ``model`` itself.
        """
        config, records = self.config, self.data.train
        plan = build.detection_plan(config, records, self.me)
        images = DetectionImages(records, config.data.longer / config.data.shorter, config.augment)
        proposed = self._proposals_of(proposer)

        def batches(start: int) -> Iterable[ImageBatch]:
            loader = detection_loader(images, replace(plan, start=start), config.data.workers, config.data.multiple)
            return proposed(loader)

        def evaluate(step: int) -> dict[str, Any]:
            losses = self._losses(model, proposed)
            if model.learns == "rpn" or proposer is not None:  # half a detector
                return losses
            return {**losses, **self._precision(model)}

        best_by = "loss" if model.learns == "rpn" or proposer is not None else "error"
        name_of, count, sizes = records.path, len(records), "data.shorter and data.longer"
        course = Course(
            plan.steps, plan.steps_per_epoch, batches, evaluate, best_by, name_of, count, size_settings=sizes
        )
        run_course("det", config, model, records.classes, course, self.me, out=out, resume=self.resume)
        distributed.wait(self.me)  # the last save of the first process
        model.load_state_dict(checkpoint.load(out / "last.pt").model)  # with train.ema, the averaged weights
        model.eval()

    def _losses(self, model: build.Detector, proposed: Proposed) -> dict[str, float]:
        """The losses on the validation set, their sum and each."""
        data, batch_size = self.config.data, self.config.test.batch_size
        images = DetectionTestImages(self.data.val, data.shorter, data.longer)
        batches = proposed(detection_test_loader(images, batch_size, data.workers, data.multiple))
        losses = mean_losses(model, batches, self.me.device, self.config.train.precision)
        return {"loss": sum(losses.values()), **{f"loss/{name}": value for name, value in losses.items()}}

    def _precision(self, model: build.Detector) -> dict[str, float]:
        """The numbers of the data set's own metric, and ``error``, 100 minus mAP."""
        config, val = self.config, self.data.val
        precision, labels = config.train.precision, torch.arange(len(val.classes))
        how = RunOptions(self.me.alone(), precision, config.test.batch_size, config.data.workers)
        protocol = build.build_det_protocol(config)
        found = Ensemble([model], [labels], [config.model.context], [precision], protocol, how).predict(val)
        numbers = det_metrics(found, val, default_metric(config.data.val))
        return {"error": 100 - numbers["mAP"], **{k: v for k, v in numbers.items() if isinstance(v, float)}}

    def _proposals_of(self, proposer: build.Detector | None) -> Proposed:
        """A function that puts another detector's proposals into batches; None: one that leaves batches alone."""
        if proposer is None:
            return lambda batches: batches
        device, precision = self.me.device, self.config.train.precision

        def proposed(batches: Iterable[ImageBatch]) -> Iterator[ImageBatch]:
            for batch in batches:
                with torch.no_grad(), autocast(device, precision):
                    features = proposer.features(batch.images.to(device), batch.full_sizes)
                    found = proposer.propose(features, batch.full_sizes, proposer.loss.proposals)
                yield replace(batch, proposals=tuple(proposals.boxes for proposals in found))

        return proposed


def launch(config: DetConfig, data: TrainingData, me: Process, *, out: Path, resume: bool) -> None:
    """Train a detector as ``config`` says; the folder gets the resolved config, metrics and checkpoints.

    The alternating schedule has a run of its own, each of ``train.epochs``, in each of ``step1`` .. ``step4``; what
    the last one ends with, which is the whole detector, is ``best.pt`` and ``last.pt`` of the folder, whose
    ``metrics.jsonl`` has the rows of all four, the ``part`` named in each.
    """
    check_enough(config.data.train, data.train, me)
    training = Training(config, data, me, out, resume)
    _check_folder(training)
    if config.model.schedule == "joint":
        training.train(training.new_detector(), out)
    else:
        _alternate(training)


def _alternate(training: Training) -> None:
    """Faster R-CNN, Sec. 3.2.

    The paper does not say what the third step's RPN layers begin as; here they are the first step's.
    """
    proposer, detector = training.new_detector(), training.new_detector()
    proposer.learn_only("rpn")  # 1: an RPN from the pretrained network
    training.train(proposer, training.out / STEPS[0])
    detector.learn_only("regions")  # 2: a detector of its own, also from there, on what that RPN proposes
    training.train(detector, training.out / STEPS[1], proposer)

    shared = training.new_detector()  # 3: the RPN again, on the detector's convolutions, which stay
    shared.load_state_dict(detector.state_dict())
    shared.rpn.load_state_dict(proposer.rpn.state_dict())
    shared.freeze(4)
    shared.learn_only("rpn")
    training.train(shared, training.out / STEPS[2])

    whole = training.new_detector()  # 4: what is the detector's alone, on what the new RPN proposes
    whole.load_state_dict(shared.state_dict())
    whole.freeze(4)
    whole.learn_only("regions")
    training.train(whole, training.out / STEPS[3])
    if training.me.is_main:
        _gather_steps(training.out)


def _gather_steps(out: Path) -> None:
    """What the last step ends with, and the rows of all four, into the folder of the whole training."""
    for name in ("best.pt", "last.pt"):
        checkpoint.save(out / name, checkpoint.load(out / STEPS[3] / name))
    rows = []
    for step in STEPS:
        lines = (out / step / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        rows += [json.dumps({"part": step, **json.loads(line)}) + "\n" for line in lines]
    (out / "metrics.jsonl").write_text("".join(rows), encoding="utf-8")


def _check_end(config: DetConfig, saved: Checkpoint, file: Path) -> None:
    """Refuse to prolong a step that has ended: the steps after it started from its end."""
    before, now = saved.config["train"].get("stop_epoch", 0.0), config.train.stop_epoch
    if (before or config.train.epochs) != (now or config.train.epochs):
        raise InputError(
            f"{file} was trained with train.stop_epoch = {before}, now {now}: the step before it has ended there; "
            "leave it as it was, or train anew in another folder"
        )


def _check_folder(training: Training) -> None:
    """Make sure, before the first step, that the folder is free or holds this very training.

    An alternating training has its checkpoints in its steps' folders until it has ended.  Of a joint one
    :func:`resdet.engine.fit.fit` checks the folder itself.
    """
    alternating = training.config.model.schedule != "joint"
    folders = [training.out / step for step in STEPS]
    for folder in (training.out, *folders) if alternating else folders:
        last_checkpoints.check_free(folder, training.resume)
        if found := last_checkpoints.newest(folder, lambda line: None):
            classes = training.data.train.classes
            now = Checkpoint("det", to_dict(training.config), classes.ids, classes.names, 0, {})
            last_checkpoints.check_same(now, found[1], found[0])
            if folder in folders[1:]:
                _check_end(training.config, found[1], found[0])
    distributed.wait(training.me)
    if alternating and training.me.is_main:
        training.out.mkdir(parents=True, exist_ok=True)
        write_config(training.config, training.out)
