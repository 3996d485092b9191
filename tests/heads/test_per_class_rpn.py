import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional

from resdet.heads.per_class_rpn import PerClassRPN

BATCH, CHANNELS, NECK, ANCHORS, CLASSES, HEIGHT, WIDTH = 3, 5, 7, 4, 6, 2, 3


def head(**options) -> PerClassRPN:
    torch.manual_seed(0)
    rpn = PerClassRPN(CHANNELS, NECK, ANCHORS, CLASSES, **options)
    for parameter in rpn.parameters():
        nn.init.normal_(parameter, std=0.5)  # biases too: a wrong one must show
    return rpn


def feature(seed: int = 1) -> torch.Tensor:
    return torch.randn(
        BATCH, CHANNELS, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed), requires_grad=True
    )


def gradients(rpn: PerClassRPN, x: torch.Tensor, *outputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of a sum that weights every output number differently."""
    generator = torch.Generator().manual_seed(7)
    total = sum((o * torch.randn(o.shape, generator=generator)).sum() for o in outputs)
    inputs = {"feature": x, **dict(rpn.named_parameters())}
    found = torch.autograd.grad(total, list(inputs.values()), allow_unused=True)
    return {name: torch.zeros_like(i) if g is None else g for (name, i), g in zip(inputs.items(), found, strict=True)}


def assert_same(rpn: PerClassRPN, sliced, full) -> None:
    """``sliced`` and ``full`` make outputs of a hidden map: the same numbers, and the same gradients."""
    x = feature()
    ours, theirs = sliced(rpn(x)), full(rpn(x))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)
    of_ours, of_theirs = gradients(rpn, x, *ours), gradients(rpn, x, *theirs)
    assert all(g.abs().max() > 0 for name, g in of_theirs.items() if not name.startswith("reg") or len(ours) > 1)
    for name in of_theirs:
        torch.testing.assert_close(of_ours[name], of_theirs[name], msg=lambda m, n=name: f"gradient of {n}: {m}")


@pytest.mark.parametrize(("anchors", "scores", "values"), [(1, 1000, 4000), (9, 9000, 36000)])
def test_siblings_have_exactly_these_output_channels_for_1000_classes(anchors, scores, values):
    rpn = PerClassRPN(64, 8, anchors, 1000)
    assert rpn.cls.weight.shape == (scores, 8, 1, 1)
    assert rpn.reg.weight.shape == (values, 8, 1, 1)
    hidden = rpn(torch.zeros(1, 64, 2, 2))
    assert rpn.cls(hidden).shape == (1, scores, 2, 2)
    assert rpn.reg(hidden).shape == (1, values, 2, 2)


def test_state_dict_has_the_plain_convolutions_only():
    names = {f"{conv}.{part}" for conv in ("neck", "cls", "reg") for part in ("weight", "bias")}
    assert set(head().state_dict()) == set(head(share_classes=True).state_dict()) == names


def test_starts_from_a_deviation_of_a_hundredth_and_no_bias():
    torch.manual_seed(0)
    rpn = PerClassRPN(256, 64, 9, 20)
    for conv in (rpn.neck, rpn.cls, rpn.reg):
        assert conv.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert not conv.bias.any()


def test_neck_is_a_3x3_convolution_with_relu_that_keeps_the_size():
    rpn, x = head(), feature()
    expected = functional.conv2d(x, rpn.neck.weight, rpn.neck.bias, padding=1).clamp(min=0)
    assert rpn.neck.weight.shape == (NECK, CHANNELS, 3, 3)
    torch.testing.assert_close(rpn(x), expected)


def test_channel_order_is_anchor_then_class_then_delta():
    rpn = head()
    hidden = rpn(feature())
    logits, deltas = rpn.all_classes(hidden)
    assert logits.shape == (BATCH, HEIGHT * WIDTH * ANCHORS, CLASSES)
    assert deltas.shape == (BATCH, HEIGHT * WIDTH * ANCHORS, CLASSES, 4)
    y, x, a, c = 1, 2, 3, 5
    place = (y * WIDTH + x) * ANCHORS + a
    torch.testing.assert_close(logits[1, place, c], rpn.cls(hidden)[1, a * CLASSES + c, y, x])
    for j in range(4):
        torch.testing.assert_close(deltas[1, place, c, j], rpn.reg(hidden)[1, (a * CLASSES + c) * 4 + j, y, x])


@pytest.mark.parametrize("share", [False, True])
def test_sampled_is_the_full_convolution_in_outputs_and_gradients(share):
    index = torch.tensor([[0, 5, 23, 5], [1, 2, 3, 0], [22, 0, 0, 0]])  # some anchors twice: gradients add up
    classes = torch.tensor([2, 0, 2])
    images = torch.arange(BATCH)[:, None]
    rpn = head(share_classes=share)

    def full(hidden):
        logits, deltas = rpn.all_classes(hidden)
        return logits[images, index, classes[:, None]], deltas[images, index, classes[:, None]]

    assert_same(rpn, lambda hidden: rpn.sampled(hidden, index, classes), full)


@pytest.mark.parametrize("share", [False, True])
def test_sampled_logits_are_the_full_convolution_in_outputs_and_gradients(share):
    index = torch.tensor([[0, 5, 23, 5], [1, 9, 9, 0], [21, 0, 0, 0]])  # third anchor shape in no sample
    rpn = head(share_classes=share)
    assert set((index % ANCHORS).flatten().tolist()) == {0, 1, 3}
    assert_same(
        rpn,
        lambda hidden: (rpn.sampled_logits(hidden, index),),
        lambda hidden: (rpn.all_classes(hidden)[0][torch.arange(BATCH)[:, None], index],),
    )


@pytest.mark.parametrize("share", [False, True])
def test_of_classes_is_the_full_convolution_in_outputs_and_gradients(share):
    classes = torch.tensor([[5, 0], [1, 1], [2, 3]])  # a class twice: both get the answer
    rpn = head(share_classes=share)

    def full(hidden):
        logits, deltas = rpn.all_classes(hidden)
        rows = [(logits[b].T[classes[b]], deltas[b].transpose(0, 1)[classes[b]]) for b in range(BATCH)]
        return tuple(torch.stack(column) for column in zip(*rows, strict=True))

    assert_same(rpn, lambda hidden: rpn.of_classes(hidden, classes), full)


def test_slices_are_exact_at_a_thousand_classes_and_nine_anchors():
    torch.manual_seed(0)
    rpn = PerClassRPN(4, 16, 9, 1000)
    hidden, classes = rpn(torch.randn(2, 4, 3, 3)), torch.tensor([[999, 0, 417], [1, 998, 500]])
    index = torch.randint(0, 81, (2, 8))
    logits, deltas = rpn.all_classes(hidden)
    some, boxes = rpn.of_classes(hidden, classes)
    for b in range(2):
        torch.testing.assert_close(some[b], logits[b][:, classes[b]].T)
        torch.testing.assert_close(boxes[b], deltas[b][:, classes[b]].transpose(0, 1))
    torch.testing.assert_close(rpn.sampled_logits(hidden, index)[1], logits[1, index[1]])
    torch.testing.assert_close(rpn.sampled(hidden, index, classes[:, 0])[1][0], deltas[0, index[0], 999])


def test_nothing_changes_when_weights_and_maps_lie_channels_last():
    rpn, x = head(share_classes=True), feature()
    index, classes = torch.tensor([[3, 1], [9, 22], [4, 0]]), torch.tensor([4, 3, 0])
    expected = gradients(rpn, x, *rpn.sampled(rpn(x), index, classes))
    last = copy.deepcopy(rpn).to(memory_format=torch.channels_last)
    y = x.detach().to(memory_format=torch.channels_last).requires_grad_()
    for a, b in zip(last.of_classes(last(y), classes[:, None]), rpn.of_classes(rpn(x), classes[:, None]), strict=True):
        torch.testing.assert_close(a, b)
    found = gradients(last, y, *last.sampled(last(y), index, classes))
    for name in expected:
        torch.testing.assert_close(found[name], expected[name])


def test_answers_are_float32_under_autocast_and_near_those_without():
    rpn, x, index = head(), feature(), torch.tensor([[3, 1], [9, 22], [4, 0]])
    ask = {
        "sampled": lambda: rpn.sampled(rpn(x), index, index[:, 1] % CLASSES),
        "sampled_logits": lambda: (rpn.sampled_logits(rpn(x), index),),
        "of_classes": lambda: rpn.of_classes(rpn(x), index % CLASSES),
    }
    for name, answer in ask.items():
        with torch.autocast("cpu", torch.bfloat16):
            found = answer()
        for a, b in zip(found, answer(), strict=True):
            assert a.dtype == torch.float32, name
            torch.testing.assert_close(a, b, rtol=0.05, atol=0.1)  # bfloat16 has 8 bits; sums of 7 numbers of size 1


def test_of_a_half_precision_map_the_siblings_answer_with_all_digits():
    """A box is chosen by its score: of 8 bits, hundreds would be the same."""
    rpn, index = head(), torch.tensor([[3, 1], [9, 22], [4, 0]])
    with torch.autocast("cpu", torch.bfloat16):
        hidden = rpn(feature())
        found = (
            *rpn.sampled(hidden, index, index[:, 1] % CLASSES),
            rpn.sampled_logits(hidden, index),
            *rpn.of_classes(hidden, index % CLASSES),
            *rpn.all_classes(hidden),
        )
    assert hidden.dtype == torch.bfloat16
    hidden = hidden.float()
    expected = (
        *rpn.sampled(hidden, index, index[:, 1] % CLASSES),
        rpn.sampled_logits(hidden, index),
        *rpn.of_classes(hidden, index % CLASSES),
        *rpn.all_classes(hidden),
    )
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a, b)


class SharedAndOwn(nn.Module):
    """The siblings as what they are said to be: a part for all classes plus a part for each, both parameters."""

    def __init__(self, rpn: PerClassRPN) -> None:
        super().__init__()
        self.shared, self.own = nn.ParameterDict(), nn.ParameterDict()
        for name, conv in (("cls", rpn.cls), ("reg", rpn.reg)):
            for part, value in (("weight", conv.weight), ("bias", conv.bias)):
                by_class = value.detach().view(ANCHORS, CLASSES, -1)
                shared = torch.randn(ANCHORS, 1, by_class.shape[2])  # how the start is divided must not matter
                self.shared[f"{name}_{part}"] = nn.Parameter(shared)
                self.own[f"{name}_{part}"] = nn.Parameter(by_class - shared)

    def folded(self, name: str) -> torch.Tensor:
        return (self.shared[name] + self.own[name]).flatten(0, 1)

    def forward(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        def conv(name: str, values: int) -> torch.Tensor:
            weight = self.folded(f"{name}_weight").reshape(ANCHORS * CLASSES * values, NECK, 1, 1)
            out = functional.conv2d(hidden, weight, self.folded(f"{name}_bias").flatten())
            return out.permute(0, 2, 3, 1).reshape(len(hidden), -1, CLASSES, values)

        return conv("cls", 1)[..., 0], conv("reg", 4)


def test_share_classes_trains_as_a_shared_part_plus_one_for_each_class_does():
    rpn = head(share_classes=True)
    other = SharedAndOwn(rpn)
    plain = head()  # the same start, each class alone
    images = torch.arange(BATCH)[:, None]
    optimizers = [torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01) for m in (rpn, other, plain)]
    rpn.neck.requires_grad_(False)  # one hidden map for all, so that the siblings alone differ
    plain.neck.requires_grad_(False)
    for step in range(8):
        torch.manual_seed(step)
        hidden = rpn(feature(step)).detach()
        index, classes = torch.randint(0, HEIGHT * WIDTH * ANCHORS, (BATCH, 5)), torch.randint(0, CLASSES, (BATCH,))
        wanted, boxes = torch.randint(0, 2, (BATCH, 5)).float(), torch.randn(BATCH, 5, 4)
        for optimizer, model in zip(optimizers, (rpn, other, plain), strict=True):
            optimizer.param_groups[0]["lr"] = 0.1 / (1 + step)
            if isinstance(model, PerClassRPN):
                logits, deltas = model.sampled(hidden, index, classes)
            else:
                logits, deltas = (out[images, index, classes[:, None]] for out in model(hidden))
            loss = functional.binary_cross_entropy_with_logits(logits, wanted) + functional.mse_loss(deltas, boxes)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for conv, name in ((rpn.cls, "cls"), (rpn.reg, "reg")):
        for part in ("weight", "bias"):
            folded = other.folded(f"{name}_{part}").reshape(getattr(conv, part).shape)
            torch.testing.assert_close(getattr(conv, part), folded, rtol=1e-4, atol=1e-5)  # sums of eight steps
            assert (getattr(getattr(plain, name), part) - folded).abs().max() > 0.02  # each class alone ends elsewhere


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda rpn: pickle.loads(pickle.dumps(rpn))], ids=["copy", "pickle"])
def test_copy_learns_as_the_original_does(copied):
    index, classes = torch.tensor([[3, 1], [9, 22], [4, 0]]), torch.tensor([4, 3, 0])
    for share in (True, False):
        rpn = head(share_classes=share)
        other, x = copied(rpn), feature()
        expected = gradients(rpn, x, *rpn.sampled(rpn(x), index, classes))
        found = gradients(other, x, *other.sampled(other(x), index, classes))
        for name in expected:
            torch.testing.assert_close(found[name], expected[name])
