"""What the settings of schedules and recipes refuse."""

import pytest

from resdet.config import ClsConfig, DetConfig, LocConfig
from resdet.errors import UsageError
from resdet.settings import override


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["train.schedule=linear"], "train.schedule must be one of step, cosine, plateau, got 'linear'"),
        (["train.warmup_until_error=100"], "train.warmup_until_error must be from 0 to below 100 %, got 100.0"),
        (["train.warmup_lr=0"], "train.warmup_lr must be above 0"),
        (["train.patience=0"], "train.patience must be 1 or more"),
        (["train.threshold=-1"], "train.threshold must be 0 or more"),
        (["train.mixup=-0.2"], "train.mixup must be 0 or more"),
        (["train.warmup_epochs=1", "train.warmup_until_error=80"], "are two ways to warm up: set one"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(words, line):
    with pytest.raises(UsageError) as caught:
        override(ClsConfig, {}, words, "config")
    assert line in str(caught.value)


@pytest.mark.parametrize("kind", [LocConfig, DetConfig])
@pytest.mark.parametrize("word", ["train.mixup=0.2", "train.warmup_until_error=80"])
def test_what_only_classification_knows_is_refused_where_there_are_boxes(kind, word):
    with pytest.raises(UsageError, match=r"it is for tools/train_cls\.py"):
        override(kind, {}, [word], "config")


def test_under_plateau_the_default_drops_of_steps_are_not_read():
    assert override(ClsConfig, {}, ["train.schedule=plateau", "train.epochs=12"], "config").train.epochs == 12
