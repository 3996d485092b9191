"""Whatever is done to a file of any kind, it ends in something valid or in one line of ours that names the file."""

import faulthandler
import shutil
import warnings
from contextlib import contextmanager

import pytest
from annotation_readers import ilsvrc_loc_files, sets_of_objects, tiny_imagenet_files
from damage import changes, damaged
from good_files import pictures
from hypothesis import HealthCheck, Phase, given, settings
from other_readers import prediction_files, settings_files, weight_files
from readers import Reader, check_image

from resdet.errors import InputError

NAMES = (
    "voc xml", "voc list", "det xml", "det list", "det val list", "loc xml", "loc list", "loc csv", "loc classes",
    "tiny train", "tiny val", "tiny classes", "tiny words", "coco", "loc devkit text", "loc kaggle", "loc jsonl",
    "det devkit text", "det coco results", "det jsonl", "det voc results", "loc blacklist", "det blacklist",
    "yaml config", "metrics", "run's config", "mean image", "checkpoint", "old checkpoint", "safetensors",
    "detectron2 pickle", "class folders", "image plain.jpg", "image progressive.jpg", "image turned.jpg", "image a.png",
    "image a.gif", "image a.bmp", "image a.webp", "image a.tiff", "image a.ppm", "image cmyk.jpg", "image deep.png",
    "image clear.png",
)  # fmt: skip
SECONDS = 120  # after which a reader hangs: the slowest files take a hundredth


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    kinds = sets_of_objects() | ilsvrc_loc_files() | tiny_imagenet_files() | prediction_files() | settings_files()
    kinds |= weight_files(tmp_path_factory.mktemp("making"))
    for name, content in pictures().items():
        kinds[f"image {name}"] = Reader(name, content, lambda f, name=name: check_image(f, name))
    return kinds


@contextmanager
def watched():
    """A hang or a crash, in C too, ends the run with a traceback."""
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def lay_out(reader, folder):
    shutil.rmtree(folder, ignore_errors=True)
    for path, content in {**reader.others, reader.path: reader.content}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def read(reader, folder, content):
    (folder / reader.path).write_bytes(content)
    try:
        with watched(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PIL and torch, about what they find odd
            reader.read(folder)
    except InputError as error:
        told = str(error)
        assert str(folder) in told, told
        assert told.isprintable(), told
        assert len(told) < 2000, told


def mutate(reader, folder, count):
    """Read ``count`` damaged files."""

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        derandomize=True,
    )
    @given(changes())
    def each(drawn):
        read(reader, folder, damaged(reader.content, drawn))

    each()


def test_every_reader_is_named_here_and_reads_its_file(readers, tmp_path):
    assert set(readers) == set(NAMES)
    for name, reader in readers.items():
        lay_out(reader, tmp_path / name)
        reader.read(tmp_path / name)


@pytest.mark.parametrize("name", NAMES)
def test_some_damaged_files(readers, tmp_path, name):
    lay_out(readers[name], tmp_path / "set")
    mutate(readers[name], tmp_path / "set", 12)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_five_hundred_damaged_files(readers, tmp_path, name):
    """Of 44 kinds: 22,000 in all."""
    lay_out(readers[name], tmp_path / "set")
    mutate(readers[name], tmp_path / "set", 500)
