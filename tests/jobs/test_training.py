"""What a training run refuses before it begins, and what its images are given."""

from dataclasses import replace

import pytest
import torch

from resdet import build
from resdet.config import ClsConfig, DataConfig
from resdet.data import pixel_mean
from resdet.data.records import Classes
from resdet.engine.distributed import Process
from resdet.engine.fit import Course
from resdet.errors import UsageError
from resdet.jobs import training
from resdet.settings import override

CONFIG = replace(ClsConfig(), data=DataConfig(train="set:t", val="set:v"))


def test_a_batch_must_split_evenly_over_the_processes(monkeypatch):
    monkeypatch.setattr(training.distributed, "start", lambda device: Process(0, 3, torch.device("cpu")))
    with pytest.raises(UsageError, match=r"train\.batch_size 256 does not split over 3 processes"):
        training.start(CONFIG, "cpu")


def test_the_seed_decides_what_is_drawn_next():
    drawn = []
    for seed in (1, 2, 1):
        training.start(replace(CONFIG, train=replace(CONFIG.train, seed=seed)), "cpu")
        drawn.append(torch.rand(1).item())
    assert drawn[0] == drawn[2] != drawn[1]


def test_borders_are_filled_with_what_becomes_zero(tmp_path):
    """The paper pads CIFAR's images after their mean is subtracted (Sec. 4.2)."""
    means = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)) * 255
    pixel_mean.write(tmp_path / "mean.npy", means)
    words = ("data.size=32", "data.resize=32", "model.backbone.depth=18", "model.backbone.width=8")
    plain = override(ClsConfig, {}, (*words, "data.mean=[1, 2, 3]"), "test")
    assert training.mean_color(build.build_classifier(plain, 3)) == (1, 2, 3)
    each = override(ClsConfig, {}, (*words, f"data.pixel_mean={tmp_path / 'mean.npy'}"), "test")
    model = build.build_classifier(each, 3)
    build.load_pixel_mean(model, each.data)
    assert training.mean_color(model) == pytest.approx([float(means[c].double().mean()) for c in range(3)], rel=1e-5)


@pytest.mark.parametrize(("images", "shown"), [(0, 256), (42, 42)])
def test_the_rate_that_is_shown_is_of_the_images_that_a_step_has(monkeypatch, tmp_path, images, shown):
    """42: a set that is smaller than a batch."""
    seen = []
    monkeypatch.setattr(training, "fit", lambda run, model, me, resume: seen.append(run.report.images_per_step))
    course = Course(1, 1, lambda start: [], lambda step: {}, "error", images_per_step=images)
    me, classes = Process(0, 1, torch.device("cpu")), Classes(("a",), ("a",))
    training.run_course("cls", CONFIG, torch.nn.Identity(), classes, course, me, out=tmp_path, resume=False)
    assert seen == [shown]
