"""What stops a step: which images it was, what there is to see, and what to do about it."""

import resource
from dataclasses import replace

import pytest
import torch
from tiny_training import ALONE, HOW, TinyNet, batch_of, run_of, with_course

from resdet.engine.failures import NotFinite, explaining, is_out_of_memory, told
from resdet.engine.fit import fit
from resdet.errors import InputError
from resdet.structures import ImageBatch, Target

SIZES = ((60, 45), (60, 100))


class Poisoned(TinyNet):
    """Its loss is not finite in step 6, of the second part of a batch that is computed in two."""

    calls = 0

    def forward(self, batch):
        losses = super().forward(batch)
        self.calls += 1
        return {name: loss * (float("nan") if self.calls == 14 else 1.0) for name, loss in losses.items()}


def stopped(out, model, how, **course):
    run = with_course(run_of(out, model, how, evaluate=lambda step: {"error": 0.0}), **course)
    with pytest.raises(FloatingPointError) as caught:
        fit(run, model, ALONE, resume=False)
    return str(caught.value)


def test_a_loss_that_is_not_finite_names_the_images_and_saves_their_batch(tmp_path):
    model, how = Poisoned(), replace(HOW, accumulate=2)
    told = stopped(tmp_path, model, how, name_of=lambda index: f"folder/{index}.jpg")
    names = [f"folder/{index}.jpg" for index in range(4, 8)]
    assert told.startswith("step 6: the loss is not finite (class nan); images folder/4.jpg, folder/5.jpg, ")
    assert told.endswith(f"; the batch is in {tmp_path / 'not-finite.pt'}")
    saved = torch.load(tmp_path / "not-finite.pt", weights_only=True)
    batch = batch_of(6)
    assert torch.equal(saved["images"], batch.images[4:])
    assert (saved["names"], saved["indices"], saved["step"]) == (names, [4, 5, 6, 7], 6)
    assert [target["label"] for target in saved["targets"]] == [target.label for target in batch.targets[4:]]
    again = ImageBatch(saved["images"], tuple(Target(**target) for target in saved["targets"]), tuple(saved["indices"]))
    assert set(TinyNet()(again)) == {"class"}, "it is a batch again"


def test_a_batch_that_does_not_fit_on_the_disk_is_told_and_half_of_it_is_not_left(tmp_path):
    error, limits = NotFinite(6, {"class": float("nan")}, batch_of(6)), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        said = str(told(error, TinyNet(), tmp_path, 0, str))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "the batch could not be saved: [Errno 27] File too large" in said
    assert not [*tmp_path.iterdir()]


def test_weights_that_were_not_finite_before_are_what_is_to_blame(tmp_path):
    model = TinyNet()
    with torch.no_grad():
        model.fc.weight[0, 0] = float("inf")
    told = stopped(tmp_path, model, HOW)
    assert "the weights are not finite already" in told
    assert "and 3 more" not in told  # eight are named


@pytest.mark.parametrize(
    ("how", "advice"),
    [
        (
            replace(HOW, batch_norm="frozen"),
            "raise train.accumulate (now 1: parts that a step is computed in), or lower train.batch_size (now 8) or",
        ),
        (
            HOW,
            "(now 1: parts that a step is computed in; batch norm learns from each alone), or lower train.batch_size",
        ),
        (replace(HOW, accumulate=8), ": lower data.shorter and data.longer"),
        (replace(HOW, batch_size=1), ": lower data.shorter and data.longer"),
    ],
)
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:125] err == 0. DefaultCPUAllocator: can't allocate memory: 9 bytes"
        ),
        MemoryError(),
    ],
    ids=["GPU", "CPU", "Python"],
)
def test_out_of_memory_says_which_sizes_were_in_the_batch_and_what_to_lower(error, how, advice):
    batch = ImageBatch(torch.zeros(2, 3, 128, 64, dtype=torch.uint8), sizes=SIZES)
    assert is_out_of_memory(error)
    with pytest.raises(MemoryError) as caught, explaining(7, batch, how, "data.shorter and data.longer"):
        raise error
    assert "step 7: out of memory with 2 images of 60x45, 60x100 (padded to 64x128): " in str(caught.value)
    assert advice in str(caught.value)


def test_memory_that_is_really_not_there_is_told_so(tmp_path):
    class Greedy(TinyNet):
        def forward(self, batch):
            torch.empty(2**60, dtype=torch.uint8)

    model = Greedy()
    with pytest.raises(MemoryError, match=r"step 0: out of memory with 8 images of 6x6: raise train\.accumulate"):
        fit(run_of(tmp_path, model), model, ALONE, resume=False)


def test_a_single_value_a_channel_is_told_with_what_to_do(tmp_path):
    class Small(TinyNet):
        def forward(self, batch):
            return super().forward(replace(batch, images=batch.images[:, :, :3, :3]))  # 1 x 1 behind the convolution

    model = Small()
    one = with_course(run_of(tmp_path, model), batches=lambda start: [batch_of(0, images=1)])
    with pytest.raises(InputError, match=r"1 image of 6x6 leave.* set train\.batch_norm=frozen, or raise"):
        fit(one, model, ALONE, resume=False)


def test_other_faults_are_left_as_they_are():
    batch = batch_of(0)
    for error in (RuntimeError("shapes differ"), ValueError("no"), KeyError("x")):
        with pytest.raises(type(error)) as caught, explaining(0, batch, HOW, "data.size"):
            raise error
        assert caught.value is error
