import math

import pytest
import torch

from resdet.config import TrainConfig
from resdet.engine.schedule import LearningRate, learning_rate, training_error
from resdet.errors import UsageError

STEPS = TrainConfig(epochs=10, lr=0.8, lr_drop_epochs=(4.0, 8.0))
COSINE = TrainConfig(epochs=10, lr=0.8, schedule="cosine")
WARM = TrainConfig(epochs=10, lr=0.8, schedule="cosine", warmup_epochs=2.0)


@pytest.mark.parametrize(
    ("how", "epoch", "rate"),
    [
        (STEPS, 0, 0.8),
        (STEPS, 3.99, 0.8),
        (STEPS, 4, 0.08),
        (STEPS, 8, 0.008),
        (STEPS, 9.9, 0.008),
        (COSINE, 0, 0.8),
        (COSINE, 2.5, 0.8 * (1 + 2**-0.5) / 2),
        (COSINE, 5, 0.4),
        (COSINE, 10, 0.0),
        (COSINE, 10.5, 0.0),  # past the end it stays at 0
        (WARM, 0, 0.0),
        (WARM, 0.5, 0.2),
        (WARM, 2, 0.8),
        (WARM, 6, 0.4),  # the middle of what is left
        (WARM, 10, 0.0),
        (TrainConfig(epochs=10, lr=0.8, lr_drop_epochs=(1.0,), warmup_epochs=2.0), 1.0, 0.4),
        (TrainConfig(epochs=10, lr=0.8, schedule="plateau", warmup_epochs=2.0), 1.5, 0.6),
        (TrainConfig(epochs=10, lr=0.8, schedule="plateau"), 9.9, 0.8),  # the clock alone does not lower it
        (TrainConfig(epochs=2, lr=0.8, schedule="cosine", warmup_epochs=2.0), 1.5, 0.6),  # all of it is warm-up
    ],
)
def test_the_learning_rate_is_the_one_worked_by_hand(how, epoch, rate):
    assert learning_rate(epoch, how) == pytest.approx(rate, abs=1e-12)


def plateau(**settings):
    return LearningRate(TrainConfig(epochs=10, lr=0.8, schedule="plateau", patience=2, threshold=0.5, **settings))


def test_on_a_plateau_the_rate_is_divided_by_ten():
    rate, seen = plateau(), []
    #            best   no     no: drop  best  by 0.5 only  no: drop  no   no: drop
    for error in (50.0, 49.8, 49.6, 40.0, 39.5, 40.1, 70.0, 39.6):
        rate.saw_evaluation(error)
        seen.append(rate(5.0))
    assert seen == pytest.approx([0.8, 0.8, 0.08, 0.08, 0.08, 0.008, 0.008, 0.0008])


def test_slow_progress_counts_against_the_best_not_against_the_evaluation_before():
    rate = plateau()
    for error in (50.0, 49.7, 49.4):  # by 0.3 each, by 0.6 together
        rate.saw_evaluation(error)
    assert (rate.drops, rate.waited, rate.best) == (0, 0, 49.4)


def test_an_error_that_is_nan_is_no_better():
    rate = plateau()
    for error in (50.0, math.nan, math.nan):
        rate.saw_evaluation(error)
    assert (rate.drops, rate.best) == (1, 50.0)


@pytest.mark.parametrize("how", [STEPS, COSINE, WARM])
def test_other_schedules_do_not_look_at_evaluations(how):
    rate = LearningRate(how)
    for _ in range(20):
        rate.saw_evaluation(90.0)
    assert [rate(epoch) for epoch in range(10)] == [learning_rate(epoch, how) for epoch in range(10)]


def test_the_warm_up_of_110_layers_ends_below_its_error_and_stays_ended():
    rate = LearningRate(TrainConfig(lr=0.1, warmup_until_error=80.0))
    assert rate(0.0) == 0.01
    batches = 0
    while rate.warming:
        rate.saw_batch(70.0)
        batches += 1
        assert batches < 1000
    # from 100 towards 70: 70 + 30 * 0.98^n is below 80 from n = log(1/3) / log(0.98) = 54.4 on
    assert batches == 55
    for _ in range(200):
        rate.saw_batch(100.0)
    assert rate(0.2) == 0.1


def test_a_lucky_batch_does_not_end_the_warm_up():
    rate = LearningRate(TrainConfig(warmup_until_error=80.0))
    for error in (95.0, 0.0, 95.0):
        rate.saw_batch(error)
    assert rate.warming


def test_an_error_at_the_limit_is_not_below_it():
    rate = LearningRate(TrainConfig(warmup_until_error=98.0))
    rate.saw_batch(0.0)  # a fiftieth of the way from 100
    assert (rate.training_error, rate.warming) == (98.0, True)


def test_after_the_warm_up_the_schedule_goes_by_the_clock_from_the_start():
    rate = LearningRate(TrainConfig(epochs=10, lr=0.8, lr_drop_epochs=(4.0,), warmup_until_error=80.0))
    rate.warming = False
    assert (rate(3.9), rate(4.0)) == (0.8, pytest.approx(0.08))


def test_without_such_a_warm_up_there_is_none():
    assert not LearningRate(TrainConfig()).warming


def test_restored_it_goes_on_as_it_would_have():
    one = plateau(warmup_until_error=90.0)
    other = LearningRate(one.how)
    for error in (95.0, 80.0, 85.0):
        one.saw_batch(error)
        one.saw_evaluation(error)
    other.restore(torch.tensor(one.state(), dtype=torch.float64).tolist())  # as it travels between processes
    assert vars(other) == vars(one)
    for rate in (one, other):
        while rate.warming:
            rate.saw_batch(50.0)
        rate.saw_evaluation(85.0)
    assert vars(other) == vars(one)
    assert one.drops == 1


def test_a_model_that_does_not_measure_its_error_is_refused():
    assert training_error({"class": 1.0, "batch/top1_error": 75.0}) == 75.0
    with pytest.raises(UsageError, match="does not measure its training error"):
        training_error({"class": 1.0})
