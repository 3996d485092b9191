import cv2
import numpy as np
import pytest
import torch

from resdet.data.image import load_image
from resdet.errors import InputError
from resdet.report import lettering, pictures
from resdet.report.lettering import Lettering, drawable, fit, lettering_for, place, writable
from resdet.structures import Detections

NAMES = ("cat", "dög", "热狗", "a name that is longer than any picture that it could be written on, and then some")


def detections(*rows):
    """From (label, score, box)."""
    labels = torch.tensor([label for label, _, _ in rows], dtype=torch.int64)
    boxes = torch.tensor([box for _, _, box in rows], dtype=torch.float32).reshape(-1, 4)
    return Detections(boxes, torch.tensor([score for _, score, _ in rows], dtype=torch.float32), labels)


def grey(width, height):
    return np.full((height, width, 3), 128, dtype=np.uint8)


def close(a, b):
    return np.abs(np.asarray(a, dtype=int) - b).max(-1) < 40


@pytest.mark.parametrize(("size", "factor"), [((64, 64), 6), ((30, 400), 1), ((1000, 700), 1), ((1, 1), 384)])
def test_small_images_are_enlarged_by_a_whole_number(size, factor):
    picture = pictures.draw(grey(*size), detections(), NAMES)
    assert picture.shape == (size[1] * factor, size[0] * factor, 3)
    assert (picture == 128).all()


def test_a_box_is_drawn_where_it_is_and_the_image_stays_as_it_is():
    image = grey(500, 400)
    picture = pictures.draw(image, detections((0, 0.9, (100, 80, 300, 200))), NAMES)
    assert (image == 128).all()
    color = pictures.PALETTE[0]
    assert close(picture[80:200, 100], color).all()  # left
    assert close(picture[80:200, 299], color).all()  # right: pixel 299 is the last that the box covers
    assert close(picture[80, 100:300], color).all()
    assert close(picture[199, 100:300], color).all()
    assert (picture[100:180, 120:280] == 128).all()
    assert (picture[210:] == 128).all()


def test_boxes_are_enlarged_with_the_image():
    picture = pictures.draw(grey(64, 64), detections((1, 0.9, (10, 20, 30, 40))), NAMES)
    assert close(picture[125:235, 60], pictures.PALETTE[1]).all()
    assert close(picture[125:235, 179], pictures.PALETTE[1]).all()


def test_a_box_at_or_beyond_the_border_shows_at_the_border():
    picture = pictures.draw(grey(500, 400), detections((0, 0.9, (-50, -50, 600, 600))), NAMES)
    assert close(picture[100:, 0], pictures.PALETTE[0]).all()
    assert close(picture[-1, :], pictures.PALETTE[0]).all()
    assert close(picture[100:, -1], pictures.PALETTE[0]).all()


def test_the_best_box_lies_on_top_whatever_the_order():
    box = (100, 80, 300, 200)
    one = pictures.draw(grey(500, 400), detections((0, 0.9, box), (1, 0.1, box)), NAMES)
    other = pictures.draw(grey(500, 400), detections((1, 0.1, box), (0, 0.9, box)), NAMES)
    assert (one == other).all()
    assert close(one[190, 100], pictures.PALETTE[0])


def test_true_boxes_are_dashed_in_white():
    picture = pictures.draw(grey(500, 400), detections(), NAMES, truth=torch.tensor([[100.0, 80, 300, 200]]))
    side = close(picture[80:200, 100], (255, 255, 255))
    assert 0.3 < side.mean() < 0.8


@pytest.mark.parametrize("size", [(64, 64), (500, 375), (4, 300), (300, 4), (1, 1), (3000, 2000)])
def test_every_shape_and_name_can_be_drawn(size):
    width, height = size
    rows = [(i % 4, 0.5 - i / 10, (-5 + i, 0, width + i, height * 0.9)) for i in range(5)]
    picture = pictures.draw(grey(*size), detections(*rows), NAMES, torch.tensor([[0.0, 0, width, height]]))
    assert picture.dtype == np.uint8
    assert not (picture == 128).all()


def test_names_lie_inside_and_clear_of_each_other():
    for size in ((384, 384), (640, 480), (3000, 2000)):
        letters = lettering_for(*size)
        corners = [(0, 0), (2, 3), (size[0] - 5, size[1] - 5), (size[0] // 2, 4), (0, 0)]
        strips = place([f"name {i} 0.50" for i in range(5)], corners, letters, size)
        covered = np.zeros((size[1], size[0]), dtype=int)
        for strip in strips:
            assert strip.x >= 0
            assert strip.y >= 0
            assert strip.x + strip.width <= size[0]
            assert strip.y + strip.height <= size[1]
            covered[strip.y : strip.y + strip.height, strip.x : strip.x + strip.width] += 1
        assert covered.max() == 1


def test_a_long_name_is_cut_and_its_score_is_not():
    letters = Lettering(scale=0.5, thickness=1, padding=2)
    text = fit(NAMES[3], "0.42", letters, 200)
    assert letters.width(text) <= 200
    assert text.endswith(".. 0.42")
    assert text.startswith("a name that")
    assert fit("cat", "0.42", letters, 200) == "cat 0.42"


def test_letters_that_opencv_lacks_are_replaced():
    assert writable("Löwenzahn café") == "Lowenzahn cafe"
    assert writable("热狗 hot\tdog") == "?? hot?dog"
    assert writable("plain") == "plain"


def test_names_are_drawn_in_their_own_letters_where_opencv_has_them(monkeypatch):
    monkeypatch.setattr(lettering, "IS_UNICODE", True)
    assert drawable("Gro\u0308ße 热狗") == "Größe 热狗"
    assert drawable("hot\tdog \udcc3") == "hot?dog ?"  # OpenCV takes no broken letters
    monkeypatch.setattr(lettering, "IS_UNICODE", False)
    assert drawable("Größe 热狗") == "Gro?e ??"


@pytest.mark.skipif(not lettering.IS_UNICODE, reason="OpenCV 4 has ASCII alone")
def test_letters_of_other_scripts_are_not_all_drawn_alike():
    found = detections((0, 0.5, (100, 100, 300, 200)))
    one, other = (pictures.draw(grey(400, 300), found, [name]) for name in ("热狗", "小熊"))
    assert (one != other).any()


def test_colors_are_far_from_each_other_and_bright_enough_for_dark_ink():
    lab = cv2.cvtColor(np.array([pictures.PALETTE], dtype=np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1) + 1000 * np.eye(len(lab))
    assert apart.min() > 20  # 2.3 is a difference that can just be seen
    assert lab[:, 0].min() > 60


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_a_saved_picture_reads_back_in_its_colors(tmp_path, ending):
    picture = np.full((40, 50, 3), (200, 30, 90), dtype=np.uint8)
    file = tmp_path / "new" / f"naïve 图{ending}"
    pictures.save(file, picture)
    assert np.abs(load_image(file).astype(int) - picture).max() <= (0 if ending == ".png" else 6)


def test_an_ending_that_is_no_image_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"x\.text: cannot be written"):
        pictures.save(tmp_path / "x.text", grey(4, 4))
