import pickle
from dataclasses import FrozenInstanceError
from multiprocessing.reduction import ForkingPickler

import pytest
import torch

from resdet.structures import Detections, ImageBatch, Proposals, Target, View, split


def targets(count: int) -> tuple[Target, ...]:
    return tuple(Target(i, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)) for i in range(count))


def batch(count: int) -> ImageBatch:
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 2, 2)
    return ImageBatch(images, targets(count), tuple(range(100, 100 + count)))


def detections() -> Detections:
    boxes = torch.arange(12, dtype=torch.float32).view(3, 4)
    return Detections(boxes, torch.tensor([0.3, 0.9, 0.5]), torch.tensor([7, 8, 9]))


def test_scale_of_a_view_is_view_pixels_an_image_pixel():
    assert View((10, 20, 30, 60), width=40, height=20).scale == (2.0, 0.5)


def test_records_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        detections().scores = torch.zeros(3)


@pytest.mark.parametrize("shape", [(4,), (3, 5), (2, 3, 4)])
def test_boxes_of_another_shape_are_refused_by_name_and_shape(shape):
    wanted = rf"must be \(N, 4\) rows of \(x1, y1, x2, y2\), got \({', '.join(map(str, shape))},?\)"
    with pytest.raises(ValueError, match=r"Target\.boxes " + wanted):
        Target(0, torch.zeros(shape), torch.zeros(shape[0], dtype=torch.int64))
    with pytest.raises(ValueError, match=r"Detections\.boxes " + wanted):
        Detections(torch.zeros(shape), torch.zeros(shape[0]), torch.zeros(shape[0], dtype=torch.int64))


def test_fields_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match=r"Target\.labels must be \(2,\) as boxes, got \(3,\)"):
        Target(0, torch.zeros(2, 4), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"Detections\.scores must be \(2,\) as boxes, got \(1,\)"):
        Detections(torch.zeros(2, 4), torch.zeros(1), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"Detections\.labels must be \(2,\) as boxes, got \(2, 1\)"):
        Detections(torch.zeros(2, 4), torch.zeros(2), torch.zeros(2, 1, dtype=torch.int64))
    with pytest.raises(ValueError, match="3 images came with 2 targets"):
        ImageBatch(torch.zeros(3, 3, 8, 8), targets(2))
    with pytest.raises(ValueError, match=r"must be \(B, 3, H, W\), got \(3, 8, 8\)"):
        ImageBatch(torch.zeros(3, 8, 8))


def test_boxes_of_a_target_are_ignored_only_where_that_is_said():
    boxes, labels = torch.zeros(2, 4), torch.tensor([3, 4])
    assert Target(-1, boxes, labels).ignored.tolist() == [False, False]
    picked = Target(-1, boxes, labels, torch.tensor([False, True]))[torch.tensor([1])]
    assert (picked.label, picked.labels.tolist(), picked.ignored.tolist()) == (-1, [4], [True])
    with pytest.raises(ValueError, match=r"Target\.ignored must be \(2,\) as boxes, got \(1,\)"):
        Target(-1, boxes, labels, torch.tensor([True]))
    with pytest.raises(ValueError, match=r"Target\.ignored must be bool, got torch\.int64"):  # COCO's iscrowd
        Target(-1, boxes, labels, torch.tensor([0, 1]))


def test_a_batch_of_unequal_images_says_how_large_each_is_and_keeps_that_when_split():
    unequal = ImageBatch(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), targets(2), (5, 6), ((8, 4), (3, 8)))
    assert [part.sizes for part in split(unequal, 2)] == [((8, 4),), ((3, 8),)]
    with pytest.raises(ValueError, match="3 images came with 2 sizes"):
        ImageBatch(torch.zeros(3, 3, 8, 8), sizes=((8, 8), (8, 8)))
    with pytest.raises(ValueError, match=r"sizes must be \(width, height\) of images within 9 x 6, got \(6, 9\)"):
        ImageBatch(torch.zeros(1, 3, 6, 9), sizes=((6, 9),))  # the height first, as tensors have it
    with pytest.raises(ValueError, match=r"within 9 x 6, got \(0, 4\)"):
        ImageBatch(torch.zeros(1, 3, 6, 9), sizes=((0, 4),))


def test_detections_are_picked_by_index_or_mask_every_field_alike():
    for keep in (torch.tensor([2, 0]), torch.tensor([True, False, True])):
        kept = detections()[keep]
        order = [2, 0] if keep.dtype == torch.int64 else [0, 2]
        assert kept.labels.tolist() == [7 + i for i in order]
        assert kept.boxes[:, 0].tolist() == [4.0 * i for i in order]
        torch.testing.assert_close(kept.scores, detections().scores[order])
    assert len(detections()[torch.zeros(3, dtype=torch.bool)]) == 0


def test_labels_of_a_batch_are_its_targets():
    assert batch(3).labels.tolist() == [0, 1, 2]
    assert batch(3).labels.dtype == torch.int64


def test_every_image_of_a_batch_has_a_size():
    images = torch.zeros(2, 3, 4, 6)
    assert ImageBatch(images).full_sizes == ((6, 4), (6, 4))
    assert ImageBatch(images, sizes=((5, 4), (6, 3))).full_sizes == ((5, 4), (6, 3))


def test_proposals_go_with_their_images():
    boxes = tuple(torch.full((i, 4), float(i)) for i in range(3))
    given = ImageBatch(torch.zeros(3, 3, 4, 6), proposals=boxes)
    assert [len(p) for part in split(given, 2) for p in part.proposals] == [0, 1, 2]
    with pytest.raises(ValueError, match="2 images came with 3 proposals"):
        ImageBatch(torch.zeros(2, 3, 4, 6), proposals=boxes)
    with pytest.raises(ValueError, match=r"Proposals\.scores must be \(2,\) as boxes, got \(3,\)"):
        Proposals(boxes[2], torch.zeros(3))
    assert len(Proposals(boxes[2], torch.zeros(2))) == 2


def test_moving_a_batch_keeps_its_targets_and_places():
    moved = batch(2).to("meta")
    assert moved.images.device.type == "meta"
    assert moved.indices == (100, 101)
    assert moved.targets[1].boxes.device.type == "cpu"


@pytest.mark.parametrize(
    ("images", "parts", "sizes"),
    [(6, 3, [2, 2, 2]), (5, 4, [1, 1, 1, 2]), (7, 2, [3, 4]), (2, 4, [1, 1]), (3, 1, [3])],
)
def test_split_makes_parts_that_differ_by_one_image_at_most(images, parts, sizes):
    found = split(batch(images), parts)
    assert sorted(len(part) for part in found) == sizes
    assert [i for part in found for i in part.indices] == list(range(100, 100 + images))
    assert torch.equal(torch.cat([part.images for part in found]), batch(images).images)
    assert [t.label for part in found for t in part.targets] == list(range(images))


def test_split_of_no_images_is_no_parts_and_targets_may_be_missing():
    assert split(ImageBatch(torch.zeros(0, 3, 2, 2)), 2) == []
    assert [p.targets for p in split(ImageBatch(torch.zeros(2, 3, 2, 2)), 2)] == [(), ()]


def test_a_batch_is_pickled_whole_without_a_piece_of_shared_memory_for_each_tensor():
    boxes = torch.arange(24, dtype=torch.float32).view(6, 4)
    of_images = [Target(4, boxes[:2], torch.tensor([4, 5]), torch.tensor([False, True]))]
    of_images += [Target(-1, boxes[:0], torch.zeros(0, dtype=torch.int64)), Target(0, boxes[2:3], torch.tensor([0]))]
    images = torch.arange(3 * 12, dtype=torch.uint8).view(3, 3, 2, 2)
    sizes = ((2, 2), (1, 2), (2, 1))
    whole = ImageBatch(images, tuple(of_images), (7, 8, 9), sizes, (boxes[:3], boxes[:0], boxes[3:]))
    for batch_of in (whole, ImageBatch(images), ImageBatch(images[:0])):
        again = pickle.loads(pickle.dumps(batch_of))
        assert torch.equal(again.images, batch_of.images)
        assert (again.indices, again.sizes) == (batch_of.indices, batch_of.sizes)
        torch.testing.assert_close(list(again.proposals), list(batch_of.proposals), rtol=0, atol=0)
        assert len(again.targets) == len(batch_of.targets)
        for mine, its in zip(again.targets, batch_of.targets, strict=True):
            assert mine.label == its.label
            for name in ("boxes", "labels", "ignored"):
                torch.testing.assert_close(getattr(mine, name), getattr(its, name), rtol=0, atol=0)
    sent = bytes(ForkingPickler.dumps(whole))  # what a loader's worker sends
    assert sent.count(b"rebuild_storage") == 1, "the images alone"
