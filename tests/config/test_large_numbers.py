"""Numbers that no run could mean are refused, in a line, before anything is made of them."""

import pytest

from resdet.config import ClsConfig, load_config
from resdet.errors import UsageError


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("train.lr=1" + "0" * 400, "must be above 0, got inf"),  # digits that no float has room for
        ("train.weight_decay=-1" + "0" * 400, "must be 0 or more, got -inf"),
        (f"train.seed={2**63}", "train.seed must be 9223372036854775807 or less, got 9223372036854775808"),
        ("train.epochs=1e300", "train.epochs must be 1000000000 or less, got 1e+300"),
        ("train.eval_every=1e308", "train.eval_every must be 1000000000 or less, got 1e+308"),
        ("data.mean=[.nan, 0, 0]", "data.mean must be three values, for red, green and blue, got (nan, 0.0, 0.0)"),
        ("train.lr_drop_epochs=[.nan]", "train.lr_drop_epochs (nan,) reach past train.epochs"),  # no step would see it
    ],
)
def test_a_number_that_cannot_be_meant_is_one_line(word, said):
    with pytest.raises(UsageError) as caught:
        load_config(ClsConfig, None, [word])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_large_numbers_that_can_be_meant_are_taken():
    train = load_config(
        ClsConfig, None, [f"train.seed={2**63 - 1}", "train.eval_every=1e6", "train.clip_norm=1e300"]
    ).train
    assert (train.seed, train.eval_every, train.clip_norm) == (2**63 - 1, 1e6, 1e300)
