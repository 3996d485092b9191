"""Sizes that no memory holds are refused by the setting, where they ended in OpenCV's traceback or took the machine."""

import argparse

import pytest

from resdet.config import ClsConfig, DetConfig, LocConfig, RCNNConfig
from resdet.errors import UsageError
from resdet.options import whole_number
from resdet.settings import override

ABSURD = [
    (ClsConfig, "data.size=100000", "data.size must be 16384 or less, got 100000"),
    (ClsConfig, "data.workers=100000", "data.workers must be 1024 or less"),
    (ClsConfig, "train.sizes=[[0, 64], [1, 100000]]", "train.sizes must be 16384 or less, got 100000"),
    (ClsConfig, "test.scales=[224, 100000]", "test.scales must be 16384 or less, got 100000"),
    (LocConfig, "data.size=10000000000000", "data.size must be 16384 or less"),
    (LocConfig, "test.scales=[100000]", "test.scales must be 16384 or less"),
    (RCNNConfig, "model.size=100000", "model.size must be 16384 or less"),
    (RCNNConfig, "data={shorter: 50000, longer: 50000}", "data.shorter must be 16384 or less"),
    (DetConfig, "data={shorter: 50000, longer: 50000}", "data.shorter must be 16384 or less"),
    (DetConfig, "augment.scale=[1, 1000]", "data.shorter times augment.scale must be 16384 or less"),
    (DetConfig, "data.multiple=1000000000", "data.multiple must be 16384 or less"),
    (DetConfig, "data.workers=100000", "data.workers must be 1024 or less"),
    (DetConfig, "model.pool_size=100000", "model.pool_size must be 1024 or less"),
    (DetConfig, "model.proposals=10000000", "model.proposals must be 1000000 or less"),
    (DetConfig, "test={shorter: 50000, longer: 50000}", "test.shorter must be 16384 or less"),
    (DetConfig, "test.scales=[600, 100000]", "test.scales must be 16384 or less"),
    (DetConfig, "test.proposals=1000000000000000000000000", "test.proposals must be 1000000 or less"),
]


@pytest.mark.parametrize("schema, word, message", ABSURD, ids=[f"{s.__name__} {w}" for s, w, _ in ABSURD])
def test_the_setting_is_named(schema, word, message):
    with pytest.raises(UsageError, match=message):
        override(schema, {}, [word], "test")


def test_the_longer_side_may_be_as_good_as_unlimited():
    assert override(DetConfig, {}, ["test.longer=100000"], "test").test.longer == 100_000


@pytest.mark.parametrize("text", ["1025", "0", "9" * 30, "-1", ""])
def test_numbers_beyond_an_option_s_most_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="wanted a whole number from 1 to 1024, got"):
        whole_number(1, 1024)(text)
    assert whole_number(1, 1024)("1024") == 1024
