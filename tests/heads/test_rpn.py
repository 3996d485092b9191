import torch
from torchvision.models.detection.rpn import RPNHead, concat_box_prediction_layers

from resdet.boxes.anchors import anchor_grid, anchor_shapes
from resdet.heads.rpn import RPN


def test_answers_are_in_the_order_of_the_anchors():
    """The output for cell (y, x) and shape a stands where ``anchor_grid`` has that anchor."""
    rpn = RPN(channels=4, neck=8, anchors=3)
    feature = torch.randn(2, 4, 5, 6)
    logits, deltas = rpn(feature)
    assert logits.shape == (2, 5 * 6 * 3)
    assert deltas.shape == (2, 5 * 6 * 3, 4)
    hidden = rpn.neck(feature).relu()
    plain_logits, plain_deltas = rpn.cls(hidden), rpn.reg(hidden)
    shapes = anchor_shapes((20,), (0.5, 1, 2))
    grid = anchor_grid(shapes, 5, 6, 16)
    for image, y, x, a in ((0, 0, 0, 0), (1, 4, 5, 2), (1, 2, 3, 1)):
        centre = torch.tensor([x + 0.5, y + 0.5]).repeat(2) * 16
        place = int((grid - (shapes[a] + centre)).abs().sum(1).argmin())
        torch.testing.assert_close(logits[image, place], plain_logits[image, a, y, x])
        torch.testing.assert_close(deltas[image, place], plain_deltas[image, 4 * a : 4 * a + 4, y, x])


def test_new_layers_are_drawn_narrowly():
    rpn = RPN(64, 128, 9)
    for conv in (rpn.neck, rpn.cls, rpn.reg):
        assert abs(conv.weight.std().item() - 0.01) < 0.001
        assert not conv.bias.any()


def test_siblings_answer_in_float32_under_autocast():
    rpn = RPN(8, 16, 3)
    with torch.autocast("cpu", torch.bfloat16):
        logits, deltas = rpn(torch.randn(1, 8, 7, 7))
    assert (logits.dtype, deltas.dtype) == (torch.float32, torch.float32)
    assert len(logits.unique()) > 140, "of 147 scores next to none tie"


def test_several_convolutions_answer_as_torchvisions():
    torch.manual_seed(0)
    rpn, theirs = RPN(8, 8, 3, depth=2), RPNHead(8, 3, conv_depth=2)
    pairs = ((rpn.neck, theirs.conv[0][0]), (rpn.deeper[0], theirs.conv[1][0]))
    for own, other in (*pairs, (rpn.cls, theirs.cls_logits), (rpn.reg, theirs.bbox_pred)):
        torch.nn.init.normal_(own.weight)
        other.load_state_dict(own.state_dict())
    feature = torch.randn(1, 8, 5, 6)
    logits, deltas = rpn(feature)
    expected_logits, expected_deltas = concat_box_prediction_layers(*theirs([feature]))
    torch.testing.assert_close(logits[0], expected_logits[:, 0])
    torch.testing.assert_close(deltas[0], expected_deltas)


def test_what_is_no_image_is_zero_to_every_convolution():
    rpn = RPN(8, 8, 3, depth=2)
    for conv in (rpn.neck, *rpn.deeper):
        torch.nn.init.normal_(conv.bias)
    feature = torch.randn(1, 8, 5, 6)
    inside = torch.zeros(1, 5, 6, dtype=torch.bool)
    inside[:, :3, :4] = True
    alone = rpn(feature[:, :, :3, :4])[0].view(3, 4, 3)
    torch.testing.assert_close(rpn(feature, inside)[0].view(5, 6, 3)[:3, :4], alone)
