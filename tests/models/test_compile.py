"""torch.compile takes networks whole: no part of them sends it back to Python."""

import sys
import warnings
from pathlib import Path

import pytest
import torch

from resdet.backbones.edges import images_end
from resdet.build import build_classifier, build_detector, build_localizer
from resdet.config import ClsConfig, DetConfig, LocConfig
from resdet.convolution import Conv3x3
from resdet.settings import override

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from several import together

SMALL = ("model.backbone.depth=18", "model.backbone.width=8")
IMAGES = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def build(kind, builder, *words):
    torch.manual_seed(0)
    return builder(override(kind, {}, (*SMALL, *words), "test"), 5)


def classifier():
    return build(ClsConfig, build_classifier, "data.size=64").logits


def localizer():
    model = build(LocConfig, build_localizer, "data.size=64", "model.neck=8").eval()

    def answer(images):
        maps = model.features(images)
        return model.class_logits(maps), *model.boxes(maps, torch.tensor([[0, 3], [4, 1]]))

    return answer


def detector():
    model = build(DetConfig, build_detector, "model.rpn_channels=16").eval()

    def answer(images):
        maps = model.features(images, ((64, 64), (64, 64)))
        return [out for level in maps for out in model.rpn(level)]

    return answer


@pytest.mark.parametrize("network", [classifier, localizer, detector])
def test_a_network_is_one_graph_and_answers_as_ever(network):
    """In a process of its own: what torch.compile starts keeps processes that are forked later from learning."""

    def check(rank):
        answer = network()
        with torch.no_grad():
            expected = answer(IMAGES)
            found = torch.compile(answer, fullgraph=True, backend="aot_eager")(IMAGES)
        for one, other in zip(expected, found, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)

    together(1, check)


def test_a_trunk_whose_images_end_is_one_graph_too():
    def check(rank):
        trunk = build(DetConfig, build_detector).eval().backbone.trunk
        pixels = IMAGES.float() / 255
        with torch.no_grad(), images_end(trunk.__self__, torch.tensor([[64, 64], [40, 56]]), 64, 64):
            found = torch.compile(trunk, fullgraph=True, backend="aot_eager")(pixels)
            torch.testing.assert_close(found, trunk(pixels), rtol=1e-4, atol=1e-5)

    together(1, check)


def test_a_large_3x3_convolution_is_recorded_once_for_maps_of_all_sizes():
    """Without warnings of what torch.compile met on its way."""

    def check(rank):
        conv = Conv3x3(256, 256).to(memory_format=torch.channels_last)
        graphs = []

        def backend(graph, inputs):
            graphs.append(graph)
            return graph.forward

        compiled = torch.compile(conv, backend=backend)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", "Guards may run slower on Python 3.13.0")  # torch: of anything
            for side in (9, 10, 5, 6, 7, 17):
                maps = torch.randn(8, 256, side, side).to(memory_format=torch.channels_last)
                compiled(maps)
        assert len(graphs) == 2  # of one size, and of any

    together(1, check)


def test_regions_of_ever_other_numbers_of_images_are_compiled():
    def check(rank):
        model = build(DetConfig, build_detector).eval()
        pooled = torch.compile(model.pooled, backend="aot_eager")
        with torch.no_grad():
            for count in (2, 3, 1):
                sizes = ((64, 64),) * count
                maps = model.features(IMAGES[:1].repeat(count, 1, 1, 1), sizes)
                boxes = [torch.tensor([[0.0, 0.0, 40.0, 40.0], [5.0, 9.0, 60.0, 60.0]])] * count
                torch.testing.assert_close(pooled(maps, boxes, sizes), model.pooled(maps, boxes, sizes))

    together(1, check)
