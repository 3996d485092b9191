"""Regions at the two scales that fit them, worked by hand."""

import math

import pytest
import torch
from painted import Painted, detected, painted, viewed

from resdet.inference.det import DetProtocol
from resdet.inference.pyramid import fitting_scales


def areas(side, scales):
    """Of a square region of ``side`` pixels at scale 1."""
    return torch.tensor([[(side * scale) ** 2 for scale in scales]])


@pytest.mark.parametrize(
    ("side", "chosen"),
    [
        (224.0, (2, 1)),  # as it is; at 2/3 its area is 22299, at 4/3 it is 89202: 50176 is nearer to the former
        (134.4, (4, 3)),  # at 5/3 exactly 224
        (2000.0, (0, 1)),  # the smallest scale and its only neighbour
        (10.0, (4, 3)),  # the largest and its only neighbour
        (672.0, (0, 1)),  # at 1/3 exactly 224
        (336.0, (1, 0)),  # at 2/3 exactly; 1/3: 12544, off by 37632; 1: 112896, off by 62720
    ],
)
def test_best_scale_and_its_better_neighbour(side, chosen):
    scales = [s / 600 for s in (200, 400, 600, 800, 1000)]
    assert fitting_scales(areas(side, scales)).tolist() == [list(chosen)]


def test_areas_are_held_against_224_squared_to_the_pixel():
    assert fitting_scales(torch.tensor([[40176.0, 60175.0, 9e9], [40177.0, 60176.0, 9e9]])).tolist() == [[1, 0], [0, 1]]


def test_of_two_scales_both_are_chosen():
    rows = torch.cat([areas(side, (0.5, 1.0)) for side in (10.0, 300.0, 5000.0)])
    assert fitting_scales(rows).sort(1).values.tolist() == [[0, 1]] * 3


def test_a_region_is_pooled_at_its_two_scales_and_nowhere_else():
    # sides 448 and 112 of an image of 600: at 200 400 600 their areas are nearest to 224 squared at 300 and 1200
    large, small = (0, 0, 448, 448), (460, 460, 572, 572)
    fitting, smaller = (300, 20, 524, 244), (20, 300, 220, 500)
    image = painted(600, 600, large)
    protocol = DetProtocol(600, 1000, scales=(200, 400, 600, 800), multiple=1)
    model = Painted(large, small, fitting, smaller, factor=1)
    detected([model], [viewed(0, image, protocol)], protocol)
    seen = {side: [round(float(b[2] - b[0])) for b in boxes] for side, boxes in model.pooled_from}
    # large: 149 at 200 (off by 27900), 299 at 400 (off by 39000), 448: the first two; small: 112 at 600 and 149 at 800;
    # 224 fits at 600, and 149 at 400 (off by 27900) is nearer to it than 299 at 800 (off by 39000); 200 is nearest at
    # 600 (off by 10200), and then 267 at 800 (off by 20900) and not 133 at 400 (off by 32400)
    assert seen == {200: [149], 400: [299, 149], 600: [112, 224, 200], 800: [149, 267]}


def test_the_larger_of_each_number_counts():
    of_scale = {20: (0.1, 0.0, 0.5, 0.0, -2.0), 40: (0.3, 0.0, -0.5, 0.0, -1.0)}

    class ByScale(Painted):
        """A vector of its own at each scale, in place of what it sees."""

        def vectors(self, images, boxes, sizes):
            vector = torch.tensor(of_scale[min(sizes[0])] + (0.0,) * 5)
            return vector.expand(sum(len(b) for b in boxes), -1)

    protocol = DetProtocol(40, 80, scales=(20, 40), multiple=1)
    image = painted(80, 80, (20, 20, 60, 60))
    found = detected([ByScale((20, 20, 60, 60))], [viewed(0, image, protocol)], protocol)[0].detections
    assert found.scores.tolist() == pytest.approx([0.3])
    # in units of 0.1 and 0.2: the centre goes down by 0.05 of 40 pixels, the height shrinks by the factor exp(-0.2)
    half = 20 * math.exp(-0.2)
    torch.testing.assert_close(found.boxes, torch.tensor([[20.0, 42 - half, 60.0, 42 + half]]))


def test_proposals_come_from_the_training_scale():
    image = painted(80, 80, (20, 20, 60, 60))

    class Proposing(Painted):
        asked = ()

        def propose(self, images, sizes):
            self.asked = (*self.asked, sizes)
            return super().propose(images, sizes)

    model = Proposing((20, 20, 60, 40))
    protocol = DetProtocol(40, 80, scales=(20, 80), multiple=1)
    found = detected([model], [viewed(0, image, protocol)], protocol)[0].detections
    assert model.asked == (((40, 40),),)
    assert model.seen == [(1, 3, 40, 40), (1, 3, 20, 20), (1, 3, 80, 80)]
    torch.testing.assert_close(found.boxes, torch.tensor([[20.0, 20, 60, 50]]))


def test_images_of_a_batch_keep_their_regions_at_every_scale():
    sizes = [(80, 80), (120, 80), (100, 80)]
    objects = [(20, 20, 60, 60), (0, 0, 80, 80), (40, 0, 100, 40)]
    protocol = DetProtocol(80, 160, scales=(40, 80, 160, 320), refine="top", vote_iou=0.5)
    proposals = (20, 20, 60, 40), (0, 0, 60, 60), (40, 0, 80, 40), (0, 0, 80, 80)
    drawn = (painted(*size, of_image) for size, of_image in zip(sizes, objects, strict=True))
    images = [viewed(i, image, protocol) for i, image in enumerate(drawn)]
    together = detected([Painted(*proposals, factor=1)], images, protocol)
    for image, answer in zip(images, together, strict=True):
        alone = detected([Painted(*proposals, factor=1)], [image], protocol)[0]
        assert len(alone.detections)
        torch.testing.assert_close(answer.detections.boxes, alone.detections.boxes)
        torch.testing.assert_close(answer.detections.scores, alone.detections.scores)
