"""CIFAR-10 from archives of a few images, pickled and plain, beside torchvision's reader."""

import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from resdet.config import AugmentConfig
from resdet.data.formats import cifar10, open_records
from resdet.data.image import load_image
from resdet.data.loading import TestImages, TrainingImages, test_loader, training_loader
from resdet.data.plan import Plan
from resdet.errors import InputError

TestImages.__test__ = test_loader.__test__ = False  # pytest takes their names for tests
EACH = 7
NAMES = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]


@pytest.fixture
def batches(monkeypatch) -> dict[str, tuple[np.ndarray, list[int]]]:
    """Pixels as the authors order them, all reds of an image first, and labels."""
    monkeypatch.setattr(cifar10, "IMAGES", EACH)
    rng = np.random.default_rng(0)
    return {
        name: (rng.integers(0, 256, (EACH, 3072), dtype=np.uint8), rng.integers(0, 10, EACH).tolist()) for name in NAMES
    }


@pytest.fixture
def pickled(tmp_path, batches, monkeypatch) -> Path:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name, (pixels, labels) in batches.items():
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": labels}, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(cifar10.NAMES)}, protocol=2))
    md5 = {file.name: hashlib.md5(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    monkeypatch.setattr(CIFAR10, "train_list", [[name, md5[name]] for name in NAMES[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [[name, md5[name]] for name in NAMES[5:]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5["batches.meta"]})
    return folder


@pytest.fixture
def plain(tmp_path, batches) -> Path:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name, (pixels, labels) in batches.items():
        rows = np.concatenate((np.array(labels, np.uint8)[:, None], pixels), axis=1)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())
    return folder


def contents(records):
    return [(records[i].label, records.open(i).pixels.tolist()) for i in range(len(records))]


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_pickled_form_is_what_torchvision_reads(pickled, split):
    theirs = CIFAR10(str(pickled.parent), train=split == "train")
    for root in (pickled.parent, pickled):
        ours = open_records(f"cifar10:{root}:{split}")
        assert contents(ours) == [(label, np.asarray(image).tolist()) for image, label in theirs]
        assert list(ours.classes.ids) == theirs.classes


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_plain_form_is_the_same_and_comes_first(pickled, plain, split):
    expected = contents(open_records(f"cifar10:{pickled}:{split}"))
    for file in pickled.iterdir():
        file.write_bytes(b"not to be looked at")
    for root in (plain.parent, plain):
        assert contents(open_records(f"cifar10:{root}:{split}")) == expected


def test_an_image_has_a_name_of_its_own_and_its_size(plain):
    records = open_records(f"cifar10:{plain}:train")
    assert len(set(records.names())) == len(records) == 35
    assert records.name(EACH + 2) == "data_batch_2_00002"
    assert records.sizes.tolist() == [[32, 32]] * 35


def test_images_reach_training_and_test_by_way_of_shared_memory(plain):
    records = open_records(f"cifar10:{plain}:train")
    assert records.pixels.is_shared()
    how = AugmentConfig(crop="pad", pad=4, color_probability=0.0, keep_object=False)
    plan = Plan(35, 5, 7, 0, ((0.0, 32),))
    for workers in (0, 1):
        seen = list(training_loader(TrainingImages(records, how), plan, workers))
        assert [tuple(batch.images.shape) for batch in seen] == [(5, 3, 32, 32)] * 7
        assert sorted(i for batch in seen for i in batch.indices) == list(range(35))
    (first, *_) = test_loader(TestImages(records, 32, 32), 5, 0)
    assert (first.images.permute(0, 2, 3, 1) == records.pixels[:5]).all()  # the single original view


def test_a_part_keeps_its_images_and_so_does_a_sum(plain):
    records = open_records(f"cifar10:{plain}:train")
    some = records.select(torch.tensor([30, 4]))
    assert contents(some) == [contents(records)[30], contents(records)[4]]
    both = open_records(f"cifar10:{plain}:train + cifar10:{plain}:test")
    assert contents(both) == contents(records) + contents(open_records(f"cifar10:{plain}:test"))


class Trap:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def test_a_pickle_that_is_not_the_authors_is_not_opened(pickled, tmp_path):
    (pickled / "data_batch_3").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(InputError, match="data_batch_3: not the authors' file"):
        open_records(f"cifar10:{pickled}:train")
    assert not (tmp_path / "sprung").exists()


def test_faults_are_named(pickled, plain, tmp_path):
    def refused(spec, said):
        with pytest.raises(InputError, match=said):
            open_records(spec)

    refused(f"cifar10:{tmp_path}:val", "cifar10 has the splits train and test, got 'val'")
    refused(f"cifar10:{plain.parent.parent}:train", "wanted cifar-10-batches-bin or cifar-10-batches-py in it")
    (pickled / "batches.meta").unlink()
    refused(f"cifar10:{pickled}:train", r"batches\.meta: not found; wanted all of cifar-10-python\.tar\.gz")
    whole = (plain / "data_batch_2.bin").read_bytes()
    (plain / "data_batch_2.bin").write_bytes(whole[:-1])
    refused(f"cifar10:{plain}:train", r"data_batch_2\.bin: wanted 7 images of 3073 bytes, got 21510 bytes")
    (plain / "data_batch_2.bin").write_bytes(b"\x0a" + whole[1:])
    refused(f"cifar10:{plain}:train", r"data_batch_2\.bin: image 0: wanted a label of 0 to 9, got 10")
    (plain / "data_batch_2.bin").unlink()
    refused(f"cifar10:{plain}:train", r"data_batch_2\.bin: No such file")


def test_an_images_path_is_no_file(plain):
    with pytest.raises(InputError, match="data_batch_1_00000"):
        load_image(open_records(f"cifar10:{plain}:train").file(0))
