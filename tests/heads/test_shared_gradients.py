"""Rows of classes that share what they learn go on sharing it, whatever tensors their weights become."""

import copy
import pickle

import pytest
import torch

from resdet.heads.per_class_box import PerClassBox
from resdet.heads.per_class_rpn import PerClassRPN
from resdet.heads.per_class_siblings import PerClassSiblings

CLASSES = 5
HEADS = {
    "RPN": (
        lambda: PerClassRPN(3, 4, 2, CLASSES, share_classes=True),
        lambda head: head.sampled(torch.ones(1, 4, 2, 2), torch.zeros(1, 1, dtype=torch.int64), torch.tensor([2])),
    ),
    "R-CNN": (
        lambda: PerClassSiblings(4, CLASSES, share_classes=True),
        lambda head: head.of_class(torch.ones(1, 4), torch.tensor([2])),
    ),
    "PCR": (
        lambda: PerClassBox(3, 4, CLASSES, share_classes=True),
        lambda head: (head.of_classes(torch.ones(1, 1, 4), torch.tensor([[2]])),),
    ),
}


def assigned(head):
    head.load_state_dict({name: value.clone() for name, value in head.state_dict().items()}, assign=True)
    return head


def emptied(head):
    state = head.state_dict()
    head = head.to("meta").to_empty(device="cpu")
    head.load_state_dict(state)
    return head


def frozen_and_copied(head):
    return copy.deepcopy(head.requires_grad_(False)).requires_grad_(True)


def frozen_and_pickled(head):
    return pickle.loads(pickle.dumps(head.requires_grad_(False))).requires_grad_(True)


def gradients(head, answer):
    sum(given.square().sum() for given in answer(head)).backward()
    return {name: parameter.grad for name, parameter in head.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("become", [assigned, emptied, frozen_and_copied, frozen_and_pickled])
@pytest.mark.parametrize(("make", "answer"), HEADS.values(), ids=HEADS.keys())
def test_classes_share_what_they_learn_whatever_their_weights_become(make, answer, become):
    torch.manual_seed(0)
    head = make()
    expected, found = gradients(copy.deepcopy(head), answer), gradients(become(head), answer)
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient)
    by_class = expected["reg.weight"].reshape(-1, CLASSES, 4 * 4)
    assert bool(by_class[0].any(1).all())  # one class was asked for, all have learnt


@pytest.mark.parametrize(("make", "answer"), HEADS.values(), ids=HEADS.keys())
def test_other_weights_in_their_place_share_it_too(make, answer):
    torch.manual_seed(0)
    head = make()
    expected = gradients(head, answer)
    weights = {name: value.detach() for name, value in head.named_parameters()}

    class Answering(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = head

        def forward(self):
            return sum(given.square().sum() for given in answer(self.head))

    def total(weights):
        named = {f"head.{name}": value for name, value in weights.items()}
        return torch.func.functional_call(Answering(), named, ())

    found = torch.func.grad(total)(weights)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient)
