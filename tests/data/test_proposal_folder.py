"""Proposals on disk: what is written is read, parts are whole, and other proposals are not taken for these."""

import json
import os
import pickle
import resource
from dataclasses import replace

import numpy as np
import pytest
import torch

from resdet.data import proposals as module
from resdet.data.proposals import ProposalFolder, ProposalsOf
from resdet.errors import InputError
from resdet.structures import Proposals

OF = ProposalsOf("sum of weights", "1-crop", "sum of names", images=5, kept=3)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "IMAGES_A_PART", 2)
    return ProposalFolder(tmp_path / "proposals", OF)


def rows(count, start=0):
    """Image i has ``i % 4`` boxes, far from each other."""
    made = []
    for i in range(start, start + count):
        many = min(i % 4, 3)
        boxes = torch.tensor(
            [[90 * i, 70 * j, 90 * i + 10.5, 70 * j + 20.0] for j in range(many)], dtype=torch.float32
        ).view(-1, 4)
        made.append(Proposals(boxes, torch.linspace(0.9, 0.1, many)))
    return made


def fill(folder, parts=None):
    folder.begin()
    for part in range(folder.parts) if parts is None else parts:
        images = folder.images_of(part)
        folder.write(part, rows(len(images), images.start))


def test_every_image_gets_its_own_boxes_and_scores_back(folder):
    fill(folder)
    assert folder.parts == 3 and [list(folder.images_of(part)) for part in range(3)] == [[0, 1], [2, 3], [4]]
    for i, wanted in enumerate(rows(5)):
        found = folder[i]
        assert torch.equal(found.boxes, wanted.boxes) and torch.equal(found.scores, wanted.scores)


def test_what_a_spawned_worker_is_sent_is_the_folder_and_not_what_is_in_it(folder):
    fill(folder)
    before = len(pickle.dumps(folder))
    wanted = folder[3]
    sent = pickle.dumps(folder)
    assert len(sent) < before + 100  # where the numbers of each of three files begin
    assert torch.equal(pickle.loads(sent)[3].boxes, wanted.boxes)


def test_an_image_without_boxes_has_none(folder):
    fill(folder)
    assert folder[0].boxes.shape == (0, 4) and folder[0].scores.shape == (0,)


def test_no_part_stays_open(folder):
    fill(folder)
    before = os.listdir("/proc/self/fd")
    assert len(folder[4].boxes) == 0  # the last image's; all parts are looked at
    assert os.listdir("/proc/self/fd") == before  # 1024 a process, on macOS 256; ImageNet has 532 parts


def test_a_folder_is_made_with_those_above_it_or_taken_as_it_stands(folder):
    deep = replace(folder, folder=folder.folder / "of" / "one" / "run")
    for _ in range(2):  # the second time as one is left that was stopped at once: there, and empty
        deep.begin()
        description = deep.folder / "proposals.json"
        assert json.loads(description.read_text())["weights"] == OF.weights
        description.unlink()


def test_parts_that_are_written_are_known_and_half_of_one_is_not(folder):
    fill(folder, [1])
    (folder.folder / "00000.npy.part").write_bytes(b"half")
    assert [folder.has(part) for part in range(3)] == [False, True, False]


@pytest.mark.parametrize("damage", ["header", "archive", "half an archive"])
def test_a_damaged_part_is_told_with_its_name(folder, damage):
    fill(folder)
    part = folder.folder / "00001.npy"
    if damage == "header":
        part.write_bytes(part.read_bytes().replace(b"(2, 3, 5)", b"(2, (3, 5"))
    else:
        with part.open("wb") as stream:
            np.savez(stream, a=np.zeros(3))
    if damage == "half an archive":
        part.write_bytes(part.read_bytes()[:40])
    with pytest.raises(InputError, match=r"00001\.npy: proposals cannot be read: "):
        folder[0]


def test_a_description_of_brackets_alone_is_none(folder):
    fill(folder)
    (folder.folder / "proposals.json").write_text("[" * 99999)
    with pytest.raises(InputError, match=r"proposals\.json: wanted a description of proposals"):
        folder.begin()


@pytest.mark.parametrize("name", ["weights", "how", "data", "images", "kept"])
def test_other_proposals_are_refused_and_what_differs_is_named(folder, name):
    fill(folder)
    other = replace(OF, **{name: 7 if name in ("images", "kept") else "other"})
    with pytest.raises(InputError, match=f"proposals.json: these proposals are others: {name} is") as refused:
        ProposalFolder(folder.folder, other).begin()
    assert "\n" not in str(refused.value)
    ProposalFolder(folder.folder, OF).begin()  # the same goes on


@pytest.mark.parametrize("text", ["", "[]", "{", '{"weights": 1}', "null"])
def test_a_damaged_description_is_one_line(folder, text):
    folder.folder.mkdir(parents=True)
    (folder.folder / "proposals.json").write_text(text)
    with pytest.raises(InputError, match="wanted a description of proposals"):
        folder.begin()


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "shape", "objects", "pickle"])
def test_a_damaged_part_is_named(folder, damage):
    fill(folder)
    file = folder.folder / "00001.npy"
    if damage == "missing":
        file.unlink()
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-7])
    elif damage == "shape":
        np.save(file, np.zeros((2, 3, 4), np.float32))
    elif damage == "objects":
        np.save(file, np.array([{"code": 1}], dtype=object), allow_pickle=True)
    else:
        file.write_bytes(pickle.dumps({"code": 1}))
    wanted = r"wanted proposals as float32 \(2, 3, 5\), got float32 \(2, 3, 4\)" if damage == "shape" else ""
    with pytest.raises(InputError, match=r"00001\.npy: " + wanted):
        folder[2]


def test_the_description_says_what_they_are_of(folder):
    fill(folder)
    assert json.loads((folder.folder / "proposals.json").read_text())["images"] == 5


def test_a_full_disk_is_told_by_the_parts_name_and_leaves_no_half_of_one(folder):
    fill(folder, parts=[0])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large.*00001\.npy'"):
            folder.write(1, rows(2, 2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(file.name for file in folder.folder.iterdir()) == ["00000.npy", "proposals.json"]
