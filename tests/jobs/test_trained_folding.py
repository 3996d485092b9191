"""Weights that are opened to be run have their batch norm folded away and answer as before; others keep it."""

import argparse

import torch
from tiny_detector import write_detector
from torch import nn

from resdet.build import open_model
from resdet.jobs.trained import open_trained
from resdet.options import add_options


def norms(model):
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def test_what_is_opened_to_be_run_has_no_batch_norm_and_answers_as_it_would_with_it(tmp_path):
    file = write_detector(tmp_path / "det.pt", ("a", "b"), "a")
    parser = argparse.ArgumentParser()
    add_options(parser)
    loaded, _ = open_trained(file, [], parser.parse_args(["--device", "cpu"]))
    as_saved = open_model(file).model
    assert norms(as_saved) and not norms(loaded.model)
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ((found,), (expected,)) = (model.detect(images, [(96, 64)], 0.0) for model in (loaded.model, as_saved))
    assert len(expected) > 3
    torch.testing.assert_close(found.boxes, expected.boxes, rtol=0, atol=0.05)
    torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-3)
    assert torch.equal(found.labels, expected.labels)
