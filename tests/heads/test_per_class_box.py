"""One box a class from a window: the sliced rows against the plain layer, windows against crops cut out one by one."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional

from resdet.heads.per_class_box import PerClassBox, window_features, window_grid

FEATURES, NECK, CLASSES = 7, 5, 6


def head(**options) -> PerClassBox:
    torch.manual_seed(0)
    made = PerClassBox(FEATURES, NECK, CLASSES, **options)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)  # biases too: a wrong one must show
    return made


def hidden(batch: int = 3, places: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, places, NECK, generator=generator, requires_grad=True)


ASKED = torch.tensor([[3, 0], [5, 5], [1, 3]])


@pytest.mark.parametrize("share", [False, True])
def test_of_classes_is_the_plain_layer_in_outputs_and_gradients(share):
    made, x = head(share_classes=share), hidden()
    ours = made.of_classes(x, ASKED)
    theirs = made.all_classes(x).transpose(1, 2)[torch.arange(3)[:, None], ASKED]  # (B, P, K, 4) -> (B, k, P, 4)
    assert ours.shape == (3, 2, 4, 4)
    torch.testing.assert_close(ours, theirs)
    weight = torch.randn(ours.shape, generator=torch.Generator().manual_seed(2))
    learning = [x, *made.reg.parameters()]
    found, expected = (torch.autograd.grad((o * weight).sum(), learning) for o in (ours, theirs))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_of_half_precision_numbers_boxes_are_told_with_all_digits():
    layer, given, classes = head(), hidden().bfloat16(), torch.tensor([[0, 2], [1, 1], [2, 0]])
    with torch.autocast("cpu", torch.bfloat16):
        found = layer.of_classes(given, classes)
    assert torch.equal(found, layer.of_classes(given.float(), classes))


def test_output_4c_plus_j_is_the_jth_delta_of_class_c():
    made = PerClassBox(2, 1, 3)
    with torch.no_grad():
        made.reg.weight.zero_()
        made.reg.bias.copy_(torch.arange(12.0))
    assert made.of_classes(torch.ones(1, 1, 1), torch.tensor([[2, 0]]))[0, :, 0].tolist() == [
        [8, 9, 10, 11],
        [0, 1, 2, 3],
    ]


def test_the_hidden_numbers_are_those_of_a_layer_with_relu():
    made = PerClassBox(2, 3, 1)
    with torch.no_grad():
        made.neck.weight.copy_(torch.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 0.0]]))
        made.neck.bias.copy_(torch.tensor([0.5, 0.0, -9.0]))
    assert made(torch.tensor([[[1.0, 1.0]], [[4.0, -2.0]]])).tolist() == [[[3.5, 0, 0]], [[0.5, 2, 3]]]


def test_only_the_rows_of_the_classes_asked_about_learn():
    made = head()
    made.of_classes(hidden(), ASKED).square().sum().backward()
    touched = made.reg.weight.grad.view(CLASSES, -1).abs().sum(1) > 0
    assert touched.nonzero()[:, 0].tolist() == [0, 1, 3, 5]


class WrittenOut(nn.Module):
    """The same layer with the shared part and each class's own as parameters of their own."""

    def __init__(self, like: PerClassBox) -> None:
        super().__init__()
        torch.manual_seed(9)
        self.shared, self.own = nn.ParameterDict(), nn.ParameterDict()
        for name in ("weight", "bias"):
            rows = getattr(like.reg, name).detach().view(CLASSES, 4, -1)
            shared = torch.randn(1, *rows.shape[1:])  # how the start is divided must not matter
            self.shared[name], self.own[name] = nn.Parameter(shared), nn.Parameter(rows - shared)

    def of(self, x: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        weight, bias = ((self.shared[name] + self.own[name])[classes] for name in ("weight", "bias"))
        return torch.einsum("bpd,bkjd->bkpj", x, weight) + bias[..., 0][:, :, None]


@pytest.mark.parametrize("copied", [lambda made: made, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_share_classes_trains_as_a_shared_part_plus_one_for_each_class_does(copied):
    made = head(share_classes=True)
    slow, made = WrittenOut(made), copied(made)
    settings = {"lr": 0.03, "momentum": 0.9, "weight_decay": 0.01}
    runs = [(made.of_classes, made.reg), (slow.of, slow)]
    for answer, module in runs:
        optimizer = torch.optim.SGD(module.parameters(), **settings)
        for step in range(5):
            x, classes = hidden().detach() + step, (ASKED + step) % CLASSES
            optimizer.zero_grad()
            (answer(x, classes) - 1).square().mean().backward()
            optimizer.step()
    every = torch.arange(CLASSES).expand(3, -1)
    torch.testing.assert_close(made.of_classes(hidden(), every), slow.of(hidden(), every))


@pytest.mark.parametrize("bins", [1, 2, 3, 5])
@pytest.mark.parametrize("window", [(3, 3), (4, 3), (5, 7), (1, 2)], ids=str)
def test_windows_are_what_cutting_each_out_of_the_map_gives(window, bins):
    feature = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    found = window_features(feature, window, bins)
    slow = [
        functional.adaptive_avg_pool2d(feature[:, :, y : y + window[0], x : x + window[1]], bins).flatten(1)
        for y in range(5 - window[0] + 1)
        for x in range(7 - window[1] + 1)
    ]
    torch.testing.assert_close(found, torch.stack(slow, 1))


def test_a_window_covers_the_pixels_of_its_cells():
    grid = window_grid(3, 4, (2, 3), 16, torch.zeros(()))
    assert grid.tolist() == [[0, 0, 48, 32], [16, 0, 64, 32], [0, 16, 48, 48], [16, 16, 64, 48]]
    assert grid.dtype == torch.float32


def test_new_layers_are_drawn_with_the_deviation_of_a_hundredth_and_no_bias():
    torch.manual_seed(0)
    made = PerClassBox(300, 200, 50)
    for layer in (made.neck, made.reg):
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.02)
        assert not layer.bias.any()
