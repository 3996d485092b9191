"""The table of the settings that trained weights read, held to what becomes of weights that are opened with each."""

import re
from contextlib import suppress
from dataclasses import asdict

import pytest
import torch

from resdet import options
from resdet.build import build_cls_protocol, build_det_protocol, open_model
from resdet.build.trained import MAKERS
from resdet.config import SCHEMAS, override, to_dict
from resdet.config.running import OWN_USES, USES, check_read, settings_read
from resdet.engine.checkpoint import Checkpoint, save
from resdet.errors import InputError, UsageError
from resdet.jobs import second_classifier, trained
from resdet.jobs.export import export
from resdet.jobs.localization import LocWeights, open_locators
from resdet.settings import names_of

IDS = ("ant", "bee", "cat")
SMALL = ("model.backbone.depth=18", "model.backbone.width=8", "data.workers=0")
BOTTLENECKS = (*SMALL, "model.backbone.depth=50")
PYRAMID = (*BOTTLENECKS, "model.neck=fpn", "model.fpn={channels: 8, box_channels: 8}", "model.rpn_channels=8",
           "model.anchor_sizes=[32,64,128,256,512]")  # fmt: skip
BASES = {  # the settings of weights, by task; each setting that is read matters to one of them
    "cls": [SMALL, BOTTLENECKS],
    "loc": [
        (*SMALL, "model.neck=8", "test.voting=always"),
        (*BOTTLENECKS, "model.neck=8", "model.method=pcr", "data.size=96"),
    ],
    "rcnn": [SMALL, BOTTLENECKS],
    "det": [
        (*SMALL, "model.rpn_channels=8", "test.refine=true", "test.vote=true"),
        PYRAMID,
    ],
}
OTHER = {  # where halving a number, or the other of true and false, is not another value that may be
    "model.backbone.family": "cifar", "model.backbone.depth": 34, "model.backbone.shortcut": "A",
    "model.backbone.stem": "3x3-pool", "model.backbone.stride_in": "3x3", "model.backbone.weights": "w.pt",
    "model.method": "pcr", "model.feature": "conv4", "model.bins": 3, "model.class_loss": "all",
    "model.pool": "pool", "model.schedule": "alternating", "model.negative_iou": 0.2, "model.positive_iou": 0.8,
    "model.foreground_iou": 0.6, "model.pool_sampling": 2, "model.freeze": 2, "model.weights": "w.pt",
    "train.schedule": "cosine", "train.precision": "bf16", "train.epochs": 200.0, "train.accumulate": 2,
    "train.sizes": [[0, 64]], "train.patience": 7, "data.longer": 1200, "test.longer": 1200,
    "test.protocol": "dense", "test.dense_average": "probabilities", "test.voting": "never", "test.ensemble": "mean",
    "test.refine_box": "each", "augment.crop": "area", "proposals.protocol": "1-crop",
    "augment.pca_vectors": [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
}  # fmt: skip
TWO = {"c4": "fpn", "fpn": "c4", "train": "frozen", "frozen": "train"}  # values of which there are two
OF_TASK = {("det", "test.scales"): [300, 600], ("rcnn", "test.voting"): False}
# not read by all uses, but told of: weights have another shape then
SHAPES = {"model.method", "model.feature", "model.neck", "model.bins", "data.pixel_mean"}
# what the schema refuses for the other tasks, or beside train.warmup_epochs
UNFIT = {"train.mixup", "train.warmup_until_error", "train.sizes", "train.label_smoothing"}
TRAINING_ONLY = {"loss", "share_classes", "label_smoothing", "mixup", "learns", "frozen"}  # attributes; `forward` reads
ARGS = options.Running("cpu")


def another(task, name, value):
    """A word that sets something else than ``value``."""
    if isinstance(value, bool):
        other = not value
    elif isinstance(value, int):
        other = value // 2 or value + 1
    elif isinstance(value, float):
        other = value / 2 or 0.5
    elif isinstance(value, list):
        other = [v if isinstance(v, list) else v / 2 if isinstance(v, float) else v // 2 for v in value]
    else:
        other = TWO.get(value, "something")
    other = OF_TASK.get((task, name), OTHER.get(name, other))
    if name == "model.backbone.family":
        imagenets = "stem: 7x7, stride_in: 1x1, width: 64, dilate_conv5: false"  # which cifar refuses others of
        return f"model.backbone={{family: {other}, depth: 20, {imagenets}}}"
    return f"{name}={other}"


def value_of(config, name):
    for key in name.split("."):
        config = config[key]
    return config


def of_network(model):
    """All that a module holds which is not the weights' numbers, and those of what is no parameter."""
    found = []
    for path, module in model.named_modules():
        plain = {k: v for k, v in vars(module).items() if not k.startswith("_") and k not in TRAINING_ONLY}
        buffers = {k: v.tolist() for k, v in module.named_buffers(recurse=False)}
        weights = {k: (v.shape, v.dtype, v.stride()) for k, v in module.named_parameters(recurse=False)}
        kept = {k: v for k, v in plain.items() if isinstance(v, int | float | str | tuple | list) or k == "proposals"}
        found.append((path, type(module).__name__, repr(kept), buffers, weights))
    return found


def opened(task, use, file, partner, *words):
    """What comes of weights opened as the jobs open them, compared with ==."""
    if use == "detect":
        one = trained.open_detector(file, words, ARGS)
        return of_network(one.model), one.protocol, one.how, one.has_context
    if use in ("localize", "judge"):
        names, prefix = (LocWeights([file]), "") if use == "localize" else (LocWeights([partner], [file]), "rcnn.")
        found = open_locators(names, [prefix + word for word in words], ARGS)
        members = [(of_network(m.model), asdict(m.protocol), m.precision) for m in found.locators.members]
        judges = [(of_network(r.model), r.rule, r.precision) for r in found.locators.rescorers]
        return members, judges, found.how
    if use == "onnx":
        loaded = open_model(file, words)
        if task == "det":
            how = build_det_protocol(loaded.config)
            scale = how.shorter, how.longer, how.scales
            # refinement and voting are refused, however they would be done
            return of_network(loaded.model), scale, how_found(how), how.refine != "", how.vote_iou is not None
        return of_network(loaded.model), loaded.config.data.size
    if use == "respond":
        loaded, how = trained.open_trained(file, words, ARGS, use)
        data = loaded.config.data
        return of_network(loaded.model), how, data.size, data.resize, data.val
    if use == "guess":
        voter, how = second_classifier._open(file, words, ARGS, trained_classes(file), "test")
        crops = voter.protocol.views(500, 375), voter.protocol.views(300, 400)
        return of_classifier(voter.model), crops, voter.precision, how
    one = trained.open_classifier(file, words, ARGS, use)
    return of_classifier(one.model), build_cls_protocol(one.config), one.how


def how_found(protocol):
    return protocol.score_threshold, protocol.nms_iou, protocol.max_detections


def trained_classes(file):
    return open_model(file).classes


def of_classifier(model):
    """A localizer's heads are not asked."""
    return of_network(model.backbone), model.mean.tolist(), model.std.tolist()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Of each task, weights by each of its bases."""
    folder, found = tmp_path_factory.mktemp("weights"), {}
    for task, bases in BASES.items():
        for place, words in enumerate(bases):
            config = override(SCHEMAS[task], {}, words, "test")
            torch.manual_seed(0)
            file = folder / f"{task}{place}.pt"
            save(file, Checkpoint(task, to_dict(config), IDS, IDS, 1, MAKERS[task](config, len(IDS)).state_dict()))
            found.setdefault(task, []).append((file, to_dict(config)))
    return found


OPENED = [(task, use) for use, of in USES.items() for task in of.reads if use != "torchvision"]


def differs(task, use, file, partner, before, *words):
    """Whether words make a difference; not where it is told that they cannot be meant, of weights or at all."""
    try:
        return opened(task, use, file, partner, *words) != before
    except UsageError:
        return None
    except InputError:  # weights of another shape
        return True


def words_that_fit(task, config, names):
    """A word for each setting, but for those that the schema refuses beside the others."""
    words = []
    for name in names:
        with suppress(UsageError):
            word = another(task, name, value_of(config, name))
            override(SCHEMAS[task], config, [*words, word], "test")
            words.append(word)
    return words


@pytest.mark.parametrize(("task", "use"), OPENED, ids=map("-".join, OPENED))
def test_a_setting_that_is_read_makes_a_difference(files, task, use):
    partner = files["loc"][0][0]
    left = settings_read(task, use)
    for file, config in files[task]:
        before = opened(task, use, file, partner)
        words = {name: another(task, name, value_of(config, name)) for name in left}
        left = {name for name in left if not differs(task, use, file, partner, before, words[name])}
    assert left <= ({"model.backbone.family"} if task == "det" else set())  # of which it has one


@pytest.mark.parametrize(("task", "use"), OPENED, ids=map("-".join, OPENED))
def test_no_other_setting_makes_a_difference(files, monkeypatch, task, use):
    monkeypatch.setattr("resdet.build.trained.check_read", lambda words, task, use: None)
    others = set(names_of(SCHEMAS[task])) - settings_read(task, use) - SHAPES
    partner, tried = files["loc"][0][0], set()
    for file, config in files[task]:
        before = opened(task, use, file, partner)
        words = words_that_fit(task, config, sorted(others))
        assert differs(task, use, file, partner, before, *words) is False, words
        tried |= {word.partition("=")[0] for word in words}
    assert others - tried <= UNFIT


@pytest.mark.parametrize("task", SCHEMAS)
def test_every_setting_is_either_read_or_refused(task):
    config, read = to_dict(SCHEMAS[task]()), settings_read(task, OWN_USES[task])
    for name in names_of(SCHEMAS[task]):
        word = another(task, name, value_of(config, name))
        if name in read:
            check_read([word], task)
        else:
            with pytest.raises(UsageError, match=rf"^{re.escape(word)}: not read by a"):
                check_read([word], task)


@pytest.mark.parametrize(
    ("task", "use", "word", "line"),
    [
        ("det", "", "model.proposals=50", "not read by a detector when it is run; did you mean 'test.proposals'?"),
        ("det", "", "data.shorter=800", "not read by a detector when it is run; did you mean 'test.shorter'?"),
        ("det", "", "train.batch_size=1", "not read by a detector when it is run; did you mean 'test.batch_size'?"),
        ("det", "", "train.lr=1", "not read by a detector when it is run"),
        ("det", "", "test={vote: true, refine: true}", ""),
        ("det", "", "train={precision: bf16, lr: 1}", "train.lr is not read by a detector when it is run"),
        ("cls", "guess", "test.protocol=dense", "not read by a classifier beside localizers, which sees one crop"),
        ("loc", "classify", "test.voting=never", "not read by a classifier when it is run"),
        ("rcnn", "", "test.images=5", "not read by an R-CNN when it is run"),
        ("cls", "onnx", "test.protocol=dense", "not read for ONNX"),
        ("cls", "detect", "train.lr=1", ""),  # a classifier does not detect, which is told elsewhere
        ("cls", None, "train.lr=1", ""),  # kept
    ],
)
def test_a_refusal_names_the_word_and_what_may_be_meant(task, use, word, line):
    said = ""
    try:
        check_read(["model.backbone.depth=18", word], task, use)
    except UsageError as error:
        said = str(error)
    assert said == (line and f"{word}: {line}")


def test_what_opens_weights_refuses_before_it_builds(files, tmp_path):
    (file, _), *_ = files["det"]
    with pytest.raises(UsageError, match=r"^model\.proposals=50: .*'test\.proposals'\?$"):
        trained.open_trained(file, ["model.proposals=50", "model.rpn_channels=5"], ARGS)
    with pytest.raises(UsageError, match=r"^data\.multiple=5: not read for torchvision's names$"):
        export(file, ["data.multiple=5"], tmp_path / "w.pth", "torchvision")
    assert export(file, ["data.multiple=5"], tmp_path / "w.pt")
    assert open_model(tmp_path / "w.pt").config.data.multiple == 5
