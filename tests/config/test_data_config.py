"""Settings of views and colours: which values are refused, and with what words."""

import pytest

from resdet.config import AugmentConfig, ClsConfig, LocConfig, load_config
from resdet.errors import UsageError


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("augment.pad=-1", "augment.pad must be 0 or more"),
        ("augment.pca_lighting=-0.1", "augment.pca_lighting must be 0 or more"),
        ("augment.pca_values=[0.1, 0.2]", "augment.pca_values must be three values from 0"),
        ("augment.pca_values=[0.1, 0.2, .nan]", "augment.pca_values must be three values from 0"),
        ("augment.pca_vectors=[[1, 0, 0], [0, 1, 0]]", "augment.pca_vectors must be three vectors of length 1"),
        ("augment.pca_vectors=[[1, 0, 0], [0, 1], [0, 0, 1]]", "augment.pca_vectors must be three vectors of length 1"),
        ("augment.pca_vectors=[[1, 0, 0], [0, 1, 1], [0, 0, 1]]", "augment.pca_vectors must be three vectors of len"),
    ],
)
def test_views_and_colours_that_cannot_be_meant_are_refused(word, said):
    with pytest.raises(UsageError, match=said.replace("[", r"\[")):
        load_config(ClsConfig, None, [word])


def test_a_mean_for_every_pixel_is_for_classification_alone():
    assert load_config(ClsConfig, None, ["data.pixel_mean=mean.npy"]).data.pixel_mean == "mean.npy"
    with pytest.raises(UsageError, match=r"data\.pixel_mean is for classification"):
        load_config(LocConfig, None, ["data.pixel_mean=mean.npy"])


def test_other_components_can_be_given():
    words = ["augment.pca_lighting=0.1", "augment.pca_values=[0.3, 0.2, 0]"]
    words.append("augment.pca_vectors=[[0, 1, 0], [1, 0, 0], [0, 0, 1]]")
    how = load_config(ClsConfig, None, words).augment
    assert how.pca_vectors == ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    assert hash(how) != hash(AugmentConfig())  # a loader keeps one colour function for each
