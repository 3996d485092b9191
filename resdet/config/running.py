"""Which settings trained weights read when they are run; the rest is training's, and a word for it would do nothing.

A setting counts as read also where another one switches it off, as ``test.vote_iou`` without ``test.vote``: the rows of
an ablation differ in what they switch on, and are given the same words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resdet.config.tasks import SCHEMAS
from resdet.errors import UsageError
from resdet.settings import names_in, names_of

NETWORK = (
    *(f"model.backbone.{name}" for name in ("family", "depth", "shortcut", "stem", "stride_in", "width")),
    *("model.backbone.dilate_conv5", "data.mean", "data.std"),
)
PLACED = (*NETWORK, "train.precision", "train.channels_last")
RUN = (*PLACED, "data.workers", "test.batch_size")
CROPS = (*RUN, "data.size", "data.resize")
LOCALIZER = (
    *("model.method", "model.feature", "model.neck", "model.anchor_sizes", "model.anchor_ratios", "model.bins"),
    "data.size",
)
DETECTOR = (
    *("model.neck", "model.fpn", "model.context", "model.unused_outputs"),
    *(f"model.anchor_{name}" for name in ("sizes", "ratios", "offset", "rounded")),
    *("model.rpn_channels", "model.rpn_depth"),
    *("model.pool", "model.pool_size", "model.pool_sampling", "model.pool_aligned"),
)
DETECTED = (
    *("test.shorter", "test.longer", "test.pre_nms", "test.proposals", "test.proposal_nms", "test.min_side"),
    *("test.score_threshold", "test.nms_iou", "test.max_detections"),
)


@dataclass(frozen=True)
class Use:
    """What trained weights are opened for."""

    said: str  # in messages
    reads: dict[str, tuple[str, ...]]  # by the weights' task: settings, and sections of which all are read


USES = {
    "classify": Use(  # by the weights' own protocol
        "by a classifier when it is run",
        {
            "cls": (*CROPS, "test"),
            "loc": (*CROPS, "test.protocol", "test.scales", "test.mirror"),  # its own classifier
        },
    ),
    "guess": Use("by a classifier beside localizers, which sees one crop", {"cls": CROPS, "loc": CROPS}),
    "respond": Use("for layer responses", {"cls": (*CROPS, "data.val")}),
    "localize": Use("by a localizer when it is run", {"loc": (*CROPS, *LOCALIZER, "test")}),
    "judge": Use(  # how many at once, and from how many loaders, is the localizers' affair
        "by an R-CNN when it is run",
        {
            "rcnn": (
                *(*PLACED, "data.shorter", "data.longer", "model.size", "model.pad", "proposals.min_side"),
                *(f"test.{name}" for name in ("proposals", "share_iou", "score_share", "voting", "vote_iou")),
            )
        },
    ),
    "detect": Use(
        "by a detector when it is run",
        {"det": (*RUN, *DETECTOR, "data.multiple", "test")},
    ),
    "onnx": Use(
        "for ONNX",
        {
            "cls": (*NETWORK, "data.size"),
            "loc": (*NETWORK, *LOCALIZER),
            # what Appendix B adds is read to be refused
            "det": (*NETWORK, *DETECTOR, *DETECTED, "test.refine", "test.vote", "test.scales"),
        },
    ),
    "torchvision": Use("for torchvision's names", dict.fromkeys(SCHEMAS, NETWORK)),
}
OWN_USES = {"cls": "classify", "loc": "localize", "rcnn": "judge", "det": "detect"}  # by task


def settings_read(task: str, use: str) -> frozenset[str]:
    """The settings that weights of a task read in a use; none where they have no such use."""
    read = USES[use].reads.get(task, ())
    every = names_of(SCHEMAS[task])
    return frozenset(name for name in every if any(f"{name}.".startswith(f"{known}.") for known in read))


def check_read(words: Sequence[str], task: str, use: str | None = "") -> None:
    """Make sure that each ``section.key=value`` word changes something.

    Args:
        task: of the weights, one of ``SCHEMAS``; their settings include all of the words.
        use: what the weights are run for, one of ``USES``; empty: what the task's weights are meant for; None: they are
            written elsewhere with all settings, and every word counts.  Weights that cannot be used so are refused
            elsewhere.

    Raises:
        UsageError: a word names a setting that is not read; the message suggests one of the same name that is.
    """
    if use is None:
        return
    use = use or OWN_USES[task]
    read = settings_read(task, use)
    for word in words if read else ():
        for name in names_in(word):
            if name not in read and not any(known.startswith(f"{name}.") for known in read):
                last = name.rpartition(".")[2]
                meant = sorted(known for known in read if known.rpartition(".")[2] == last)
                hint = f"; did you mean {meant[0]!r}?" if meant else ""
                what = "" if word.startswith(f"{name}=") else f"{name} is "
                raise UsageError(f"{word}: {what}not read {USES[use].said}{hint}")
