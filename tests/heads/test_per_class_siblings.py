"""R-CNN's siblings: the rows that are taken out of the weights give what the plain layers give."""

import copy

import pytest
import torch

from resdet.heads.per_class_siblings import PerClassSiblings


@pytest.fixture
def siblings():
    torch.manual_seed(0)
    siblings = PerClassSiblings(6, 5)
    for parameter in siblings.parameters():
        torch.nn.init.normal_(parameter)
    return siblings


def test_one_class_a_crop_is_a_row_of_all(siblings):
    vectors, classes = torch.randn(4, 6), torch.tensor([2, 0, 4, 2])
    logits, deltas = siblings.of_class(vectors, classes)
    every_logit, every_delta = siblings.all_classes(vectors)
    torch.testing.assert_close(logits, every_logit[range(4), classes])
    torch.testing.assert_close(deltas, every_delta[range(4), classes])


def test_the_same_classes_of_every_crop_are_columns_of_all(siblings):
    vectors, classes = torch.randn(4, 6), torch.tensor([3, 1])
    logits, deltas = siblings.of_classes(vectors, classes)
    every_logit, every_delta = siblings.all_classes(vectors)
    torch.testing.assert_close(logits, every_logit[:, classes])
    torch.testing.assert_close(deltas, every_delta[:, classes])


def test_all_classes_is_the_layers_with_class_c_at_4c(siblings):
    vectors = torch.randn(3, 6)
    logits, deltas = siblings.all_classes(vectors)
    torch.testing.assert_close(logits, vectors @ siblings.cls.weight.T + siblings.cls.bias)
    plain = vectors @ siblings.reg.weight.T + siblings.reg.bias
    torch.testing.assert_close(deltas[:, 3], plain[:, 12:16])


def test_gradients_reach_the_rows_of_the_classes_alone_and_equal_the_plain_layers(siblings):
    plain = copy.deepcopy(siblings)
    vectors, classes = torch.randn(3, 6), torch.tensor([1, 1, 4])
    logits, deltas = siblings.of_class(vectors, classes)
    (logits.sum() + (deltas * torch.arange(1.0, 5)).sum()).backward()
    every_logit, every_delta = plain.all_classes(vectors)
    (every_logit[range(3), classes].sum() + (every_delta[range(3), classes] * torch.arange(1.0, 5)).sum()).backward()
    for name, parameter in siblings.named_parameters():
        torch.testing.assert_close(parameter.grad, plain.get_parameter(name).grad)
    assert siblings.cls.weight.grad[[0, 2, 3]].abs().sum() == 0
    assert siblings.cls.weight.grad[[1, 4]].abs().sum() > 0


def test_shared_classes_all_learn_from_one_and_a_copy_does_too():
    torch.manual_seed(0)
    for siblings in (made := PerClassSiblings(6, 5, share_classes=True), copy.deepcopy(made)):
        siblings.of_class(torch.ones(1, 6), torch.tensor([2]))[0].sum().backward()
        gradient = siblings.cls.weight.grad
        torch.testing.assert_close(gradient[0], torch.ones(6))
        torch.testing.assert_close(gradient[2], 2 * torch.ones(6))  # its own and the shared part


def test_no_crops_are_no_answers(siblings):
    logits, deltas = siblings.of_classes(torch.zeros(0, 6), torch.tensor([1, 2]))
    assert logits.shape == (0, 2) and deltas.shape == (0, 2, 4)


def test_half_precision_vectors_are_answered_in_float32(siblings):
    with torch.autocast("cpu", torch.bfloat16):
        logits, deltas = siblings.of_class(torch.randn(2, 6).bfloat16(), torch.tensor([0, 1]))
    assert logits.dtype == deltas.dtype == torch.float32


def test_new_siblings_are_drawn_as_fast_rcnns_without_a_bias():
    torch.manual_seed(0)
    made = PerClassSiblings(600, 100)
    assert made.cls.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert made.reg.weight.std().item() == pytest.approx(0.001, rel=0.02)
    assert not made.cls.bias.any()
    assert not made.reg.bias.any()
