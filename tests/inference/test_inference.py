"""Localizing a data set, with networks whose answers are known beforehand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from painted import painted, viewed
from torch import Tensor, nn

from resdet.data.viewed_images import ViewedImage
from resdet.data.views import cut, to_view
from resdet.inference.loc import LocProtocol
from resdet.inference.locate import Located, Locators, Member, locate_together
from resdet.structures import View

CPU = torch.device("cpu")
ONE_CROP = LocProtocol("1-crop", size=32, resize=40, scales=(), mirror=False, vote_iou=None)
DENSE = LocProtocol("dense", size=32, resize=40, scales=(40, 60), mirror=True, vote_iou=None)


class Painted(nn.Module):
    """A localizer that sees: it answers, for class c, where channel c of the picture is bright.

    Its class probabilities are the shares of bright pixels.  One anchor finds the bright region to the pixel;
    another, of a lower score, answers the whole view.  It keeps count of what it is asked.
    """

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.classes = classes
        self.asked: list[Tensor] = []
        self.seen: list[tuple[int, ...]] = []

    def features(self, images: Tensor) -> dict[str, Tensor]:
        assert images.dtype == torch.uint8 and torch.is_inference_mode_enabled()
        self.seen.append(tuple(images.shape))
        return {"bright": images > 128}

    def class_logits(self, maps: dict[str, Tensor]) -> Tensor:
        share = maps["bright"].float().mean((2, 3))
        return torch.nn.functional.pad(share, (0, self.classes - 3), value=1e-6).clamp(min=1e-6).log()

    def boxes(self, maps: dict[str, Tensor], classes: Tensor) -> tuple[Tensor, Tensor]:
        assert not self.training
        self.asked.append(classes)
        bright = maps["bright"]
        height, width = bright.shape[2:]
        boxes = torch.tensor([0.0, 0.0, width, height]).repeat(*classes.shape, 2, 1)
        scores = torch.tensor([0.1, 0.2]).repeat(*classes.shape, 1)
        for b, row in enumerate(classes.tolist()):
            for k, c in enumerate(row):
                if c < 3 and bright[b, c].any():
                    y, x = bright[b, c].nonzero(as_tuple=True)
                    boxes[b, k, 0] = torch.stack((x.min(), y.min(), x.max() + 1, y.max() + 1)).float()
                    scores[b, k, 0] = 0.9
        return scores, boxes


def located(model: nn.Module, images: list[ViewedImage], protocol: LocProtocol, **options) -> list[Located]:
    return list(locate_together(Locators((Member(model, protocol),)), [images], CPU, **options))


def test_one_crop_is_the_middle_of_the_image_at_its_scale():
    # shorter side 80 drawn at 40, the middle 32: of 80 pixels 64
    assert ONE_CROP.views(120, 80) == [View((28, 8, 92, 72), 32, 32)]
    assert ONE_CROP.views(20, 30) == [View((2, 7, 18, 23), 32, 32)]


def test_dense_is_the_whole_image_at_every_scale_and_its_mirror():
    assert DENSE.views(120, 80) == [
        View((0, 0, 120, 80), 60, 40), View((0, 0, 120, 80), 60, 40, mirror=True),
        View((0, 0, 120, 80), 90, 60), View((0, 0, 120, 80), 90, 60, mirror=True),
    ]  # fmt: skip
    plain = LocProtocol("dense", 32, 40, (40, 60), mirror=False, vote_iou=None)
    assert plain.views(80, 120) == [View((0, 0, 80, 120), 40, 60), View((0, 0, 80, 120), 60, 90)]


def test_proposals_are_named_alike_whether_or_not_they_are_averaged_with_others():
    assert repr(replace(DENSE, averaged=True)) == repr(DENSE)


def test_one_crop_boxes_come_back_in_pixels_of_the_original():
    region = (40, 20, 60, 50)  # wholly in the crop, on even pixels: the crop halves the image
    found = located(Painted(), [viewed(0, painted(120, 80, region), ONE_CROP)], ONE_CROP)[0]
    assert (found.index, found.width, found.height, found.error) == (0, 120, 80, None)
    assert found.labels[0] == 0
    assert found.boxes[0].tolist() == list(region)
    assert found.box_scores[0].item() == pytest.approx(0.9)


def test_box_of_a_class_that_is_not_seen_is_the_crop_and_not_the_image():
    found = located(Painted(), [viewed(0, painted(120, 80, (40, 20, 60, 50)), ONE_CROP)], ONE_CROP)[0]
    assert found.boxes[1].tolist() == [28, 8, 92, 72]


def test_classes_come_most_probable_first_with_their_probabilities():
    image = painted(80, 80, (8, 8, 18, 28), (20, 20, 60, 60), (60, 8, 70, 18))
    found = located(Painted(), [viewed(0, image, ONE_CROP)], ONE_CROP)[0]
    assert found.labels.tolist() == [1, 0, 2]
    shares = torch.tensor([1600.0, 200.0, 100.0])
    torch.testing.assert_close(found.class_scores, shares / shares.sum(), rtol=1e-4, atol=1e-4)
    assert found.boxes.tolist() == [[20, 20, 60, 60], [8, 8, 18, 28], [60, 8, 70, 18]]


@pytest.mark.parametrize(("classes", "k"), [(3, 3), (5, 5), (9, 5)])
def test_five_classes_are_guessed_or_all_where_there_are_fewer(classes, k):
    found = located(Painted(classes), [viewed(0, painted(40, 40, (8, 8, 20, 20)), ONE_CROP)], ONE_CROP)[0]
    assert found.labels.shape == found.class_scores.shape == found.box_scores.shape == (k,)
    assert found.boxes.shape == (k, 4)
    assert len(set(found.labels.tolist())) == k


def test_dense_views_and_their_mirrors_all_lead_to_the_same_box():
    region = (12, 16, 52, 64)
    image = viewed(0, painted(120, 80, region), DENSE)
    for chosen in range(4):  # each view alone: a mirrored one must be mirrored back
        alone = image._replace(views=image.views[chosen : chosen + 1], pixels=image.pixels[chosen : chosen + 1])
        found = located(Painted(), [alone], DENSE)[0]
        # a scale of 3/4 moves an edge by at most a pixel of the view
        torch.testing.assert_close(found.boxes[0], torch.tensor(region, dtype=torch.float32), rtol=0, atol=1.4)
    assert located(Painted(), [image], DENSE)[0].boxes[0].tolist() == list(region)


class OneBoxAView(nn.Module):
    """Answers a given box of the view, and a given score, by the view's width and whether it is mirrored."""

    def __init__(self, answers: dict[tuple[int, bool], tuple[tuple[float, ...], float, tuple[float, float]]]) -> None:
        super().__init__()
        self.answers = answers

    def features(self, images: Tensor) -> dict[str, Tensor]:
        return {"key": torch.stack([torch.tensor([i.shape[2], bool(i[0, 0, 0] == 0)]) for i in images])}

    def class_logits(self, maps: dict[str, Tensor]) -> Tensor:
        return torch.tensor([self.answers[(int(w), bool(m))][2] for w, m in maps["key"]]).log()

    def boxes(self, maps: dict[str, Tensor], classes: Tensor) -> tuple[Tensor, Tensor]:
        found = [self.answers[(int(w), bool(m))] for w, m in maps["key"]]
        boxes = torch.tensor([box for box, _, _ in found])[:, None, None].expand(-1, classes.shape[1], 1, 4)
        scores = torch.tensor([score for _, score, _ in found])[:, None, None].expand(-1, classes.shape[1], 1)
        return scores, boxes


def asymmetric() -> np.ndarray:
    """80 x 40, bright on the left: a view that begins dark is mirrored."""
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, :40] = 255
    return image


ANSWERS = {  # 80 x 40 at shorter sides 40 and 60: 80 x 40 and 120 x 60
    (80, False): ((10.0, 10.0, 30.0, 30.0), 0.5, (0.9, 0.1)),
    (80, True): ((50.0, 12.0, 70.0, 32.0), 0.3, (0.5, 0.5)),  # mirrored back: 10, 12, 30, 32
    (120, False): ((15.0, 15.0, 45.0, 48.0), 0.2, (0.3, 0.7)),  # shrunk by 1.5: 10, 10, 30, 32
    (120, True): ((0.0, 0.0, 30.0, 30.0), 0.4, (0.1, 0.9)),  # mirrored back and shrunk: 60, 0, 80, 20
}


def test_best_of_all_views_without_voting():
    found = located(OneBoxAView(ANSWERS), [viewed(0, asymmetric(), DENSE)], DENSE)[0]
    torch.testing.assert_close(found.boxes, torch.tensor([[10.0, 10.0, 30.0, 30.0]] * 2))
    assert found.box_scores.tolist() == pytest.approx([0.5, 0.5])


def test_voting_across_scales_and_mirrors_worked_by_hand():
    voting = LocProtocol("dense", 32, 40, (40, 60), mirror=True, vote_iou=0.5)
    found = located(OneBoxAView(ANSWERS), [viewed(0, asymmetric(), voting)], voting)[0]
    # three overlap the best one and vote with 0.5, 0.3 and 0.2; the fourth lies elsewhere
    expected = [10.0, 10 * 0.7 + 12 * 0.3, 30.0, 30 * 0.5 + 32 * 0.5]
    torch.testing.assert_close(found.boxes[0], torch.tensor(expected))
    assert found.box_scores[0].item() == pytest.approx(0.5)


def test_greedy_merging_in_place_of_a_vote_worked_by_hand():
    merging = LocProtocol("dense", 32, 40, (40, 60), mirror=True, vote_iou=0.5, greedy=True)
    answers = ANSWERS | {(120, False): ((15.0, 15.0, 45.0, 46.5), 0.2, (0.3, 0.7))}  # 10, 10, 30, 31: nearest the first
    found = located(OneBoxAView(answers), [viewed(0, asymmetric(), merging)], merging)[0]
    # the mean of these two is 10, 10, 30, 30.5; that of it and 10, 12, 30, 32 is the answer; scores are added up
    torch.testing.assert_close(found.boxes[0], torch.tensor([10.0, 11.0, 30.0, 31.25]))
    assert found.box_scores[0].item() == pytest.approx(1.0)


def test_class_probabilities_are_averaged_over_views():
    found = located(OneBoxAView(ANSWERS), [viewed(0, asymmetric(), DENSE)], DENSE)[0]
    assert found.labels.tolist() == [1, 0]
    torch.testing.assert_close(found.class_scores, torch.tensor([2.2 / 4, 1.8 / 4]))


def test_boxes_are_clipped_to_the_image():
    wild = {key: ((-50.0, 5.0, 30.0, 500.0), score, classes) for key, (_, score, classes) in ANSWERS.items()}
    single = LocProtocol("dense", 32, 40, (40,), mirror=False, vote_iou=None)
    found = located(OneBoxAView(wild), [viewed(0, asymmetric(), single)], single)[0]
    assert found.boxes[0].tolist() == [0, 5, 30, 40]


def test_images_of_every_size_are_answered_in_order_and_alike_alone():
    regions = [(10, 6, 30, 20), (20, 10, 40, 50), (6, 10, 20, 24), (30, 30, 38, 38)]
    sizes = [(60, 40), (50, 70), (60, 40), (40, 60)]
    pictures = [painted(*size, region) for size, region in zip(sizes, regions, strict=True)]
    images = [viewed(7 + i, picture, DENSE) for i, picture in enumerate(pictures)]
    model = Painted()
    together = located(model, images, DENSE)
    assert len(model.seen) == 6, "views of one size go through the network together"
    assert [answer.index for answer in together] == [7, 8, 9, 10]
    for answer, image in zip(together, images, strict=True):
        alone = located(Painted(), [image], DENSE)[0]
        assert torch.equal(answer.boxes, alone.boxes)
        assert torch.equal(answer.labels, alone.labels)
        assert (answer.width, answer.height) == (image.width, image.height)
    for answer, region in zip(together, regions, strict=True):
        torch.testing.assert_close(answer.boxes[0], torch.tensor(region, dtype=torch.float32), rtol=0, atol=1.4)


def test_unreadable_images_keep_their_place():
    good = [viewed(i, painted(60, 40, (10, 6, 30, 20)), ONE_CROP) for i in (0, 2)]
    bad = [ViewedImage(i, 0, 0, (), (), f"{i}.jpg: not an image") for i in (1, 3, 4)]
    batches = [[good[0], bad[0], good[1]], [bad[1], bad[2]]]
    alone = Locators((Member(Painted(), ONE_CROP),))
    found = list(locate_together(alone, batches, CPU, true_labels=torch.zeros(5, dtype=torch.int64)))
    assert [answer.index for answer in found] == [0, 1, 2, 3, 4]
    why = "1.jpg: not an image", "3.jpg: not an image", "4.jpg: not an image"
    assert [answer.error for answer in found] == [None, why[0], None, why[1], why[2]]
    assert (found[1].width, found[1].height, found[1].boxes.shape) == (0, 0, (0, 4))
    assert found[1].labels.dtype == torch.int64
    assert found[1].labels.shape == found[1].class_scores.shape == found[1].box_scores.shape == (0,)
    assert found[1].true_class_box is None
    assert torch.equal(found[2].boxes, found[0].boxes)


def test_guesses_of_another_classifier_are_asked_for_by_image_index():
    image = painted(40, 40, (8, 8, 20, 20), (4, 24, 36, 36))
    labels = torch.tensor([[2, 2], [0, 0], [0, 1], [1, 0]])
    scores = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.7, 0.2], [0.6, 0.3]])
    model = Painted()
    images = [viewed(i, image, DENSE) for i in (3, 2)]  # as a loader might give them: not the first, not in order
    found = located(model, images, DENSE, guesses=(labels, scores))
    assert found[0].labels.tolist() == [1, 0]
    assert found[1].labels.tolist() == [0, 1]
    assert found[1].class_scores.tolist() == pytest.approx([0.7, 0.2])
    assert found[0].boxes.tolist() == [[4, 24, 36, 36], [8, 8, 20, 20]]
    assert found[1].boxes.tolist() == [[8, 8, 20, 20], [4, 24, 36, 36]]
    assert all(asked.shape[1] == 2 for asked in model.asked), "only the classes guessed are computed"


def test_a_localizer_that_calls_classes_by_other_labels_is_asked_by_its_own():
    image = viewed(0, painted(40, 40, (4, 4, 36, 20), (8, 20, 20, 36)), ONE_CROP)
    other = Locators((Member(Painted(), ONE_CROP, torch.tensor([1, 2, 0])),))  # it calls 0 "1", 1 "2" and 2 "0"
    found = next(locate_together(other, [[image]], CPU))
    assert found.labels[:2].tolist() == [2, 0]
    assert found.boxes[:2].tolist() == [[4, 4, 36, 20], [8, 20, 20, 36]]


def test_true_class_is_answered_beside_the_guesses_and_is_none_of_them():
    image = painted(40, 40, (8, 8, 20, 20), (4, 24, 36, 36))
    guesses = (torch.zeros(2, 1, dtype=torch.int64), torch.ones(2, 1))
    found = located(
        Painted(),
        [viewed(i, image, ONE_CROP) for i in range(2)],
        ONE_CROP,
        guesses=guesses,
        true_labels=torch.tensor([1, -1]),
    )
    assert found[0].labels.tolist() == [0]
    assert found[0].boxes.tolist() == [[8, 8, 20, 20]]
    assert found[0].true_class_box.tolist() == [4, 24, 36, 36]
    assert found[1].true_class_box.tolist() == [8, 8, 20, 20], "unknown: class 0's"
    assert located(Painted(), [viewed(0, image, ONE_CROP)], ONE_CROP)[0].true_class_box is None


def test_crop_of_a_moved_box_is_where_the_view_says():
    """The stub's eyes against the two functions that carry boxes: they agree on where a region is."""
    region, view = (40, 20, 60, 50), View((28, 8, 92, 72), 32, 32, mirror=True)
    pixels = torch.from_numpy(cut(painted(120, 80, region), view)).permute(2, 0, 1)[None]
    seen = Painted().eval().boxes({"bright": pixels > 128}, torch.zeros(1, 1, dtype=torch.int64))[1][0, 0, 0]
    assert seen.tolist() == to_view(torch.tensor([region], dtype=torch.float32), view)[0].tolist()
