"""Statistics of colours against numpy's over all pixels at once."""

import numpy as np
import pytest
import torch

from resdet.data import pixel_mean
from resdet.data.color_statistics import color_statistics
from resdet.errors import InputError
from resdet.structures import ImageBatch


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Thirty noisy pictures whose channels go together, brighter at the top."""
    rng = np.random.default_rng(0)
    light = rng.normal(120, 40, (30, 1, 8, 10)) + np.linspace(30, -30, 8)[:, None]
    own = rng.normal(0, (8, 20, 5), (30, 8, 10, 3)).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.clip(light + own, 0, 255).astype(np.uint8))


def batches(images, size):
    return [ImageBatch(part) for part in images.split(size)]


def test_all_of_it_is_numpys(images):
    found = color_statistics(batches(images, 7))
    pixels = images.numpy().transpose(0, 2, 3, 1).reshape(-1, 3).astype(np.float64)
    assert found.images == 30
    np.testing.assert_allclose(found.mean, pixels.mean(0))
    np.testing.assert_allclose(found.std, pixels.std(0))
    np.testing.assert_allclose(found.pixel_mean, images.numpy().mean(0))
    values, vectors = np.linalg.eigh(np.cov((pixels / 255).T, bias=True))
    np.testing.assert_allclose(found.values, values[::-1], rtol=1e-9)
    np.testing.assert_allclose(np.abs((found.vectors.numpy() * vectors.T[::-1]).sum(1)), 1)  # but for the sign
    assert (found.vectors[:, 1] > 0).all()


def test_the_batches_do_not_matter(images):
    one, other = color_statistics(batches(images, 30)), color_statistics(batches(images, 4))
    for name in ("mean", "std", "values", "vectors", "pixel_mean"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=1e-9, atol=1e-9)


def test_one_colour_is_refused_for_training_divides_by_its_deviation(images):
    grey = torch.full((2, 3, 4, 4), 77, dtype=torch.uint8)
    with pytest.raises(InputError, match="all pixels of 2 images have 77 for red: no deviation"):
        color_statistics([ImageBatch(grey)])
    without_blue = images.clone()
    without_blue[:, 2] = 0
    with pytest.raises(InputError, match="all pixels of 30 images have 0 for blue: no deviation"):
        color_statistics(batches(without_blue, 7))
    grey[0, :, 0, 0] = 78  # one pixel of 32: a deviation of sqrt(1 / 32 - 1 / 32 ** 2)
    assert color_statistics([ImageBatch(grey)]).std.tolist() == pytest.approx([0.17399264] * 3)


def test_no_images_is_an_error():
    with pytest.raises(InputError, match="no images"):
        color_statistics([])


def test_a_mean_image_is_written_and_read(images, tmp_path):
    mean = color_statistics(batches(images, 7)).pixel_mean[:, :, :8]
    pixel_mean.write(tmp_path / "mean", mean)  # whatever the ending
    torch.testing.assert_close(pixel_mean.read(tmp_path / "mean", 8), mean.float())


def test_files_that_are_no_mean_image_are_refused_and_named(tmp_path):
    def saved(name, array):
        with (tmp_path / name).open("wb") as stream:
            np.save(stream, array, allow_pickle=array.dtype == object)

    saved("size.npy", np.zeros((3, 8, 9), np.float32))
    saved("kind.npy", np.zeros((3, 8, 8)))
    saved("range.npy", np.full((3, 8, 8), 256, np.float32))
    saved("nan.npy", np.full((3, 8, 8), np.nan, np.float32))
    saved("pickle.npy", np.array([print, print], dtype=object))
    np.savez(tmp_path / "several.npz", a=np.zeros(3))
    (tmp_path / "text.npy").write_text("not an array")
    (tmp_path / "empty.npy").write_bytes(b"")
    for file in [*sorted(tmp_path.iterdir()), tmp_path / "missing.npy"]:
        with pytest.raises(InputError, match=file.name):
            pixel_mean.read(file, 8)
