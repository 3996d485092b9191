import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from resdet.ops import batched_nms, nms
from resdet.ops.nms import cpu, op, reference

NAN, INF = float("nan"), float("inf")


def crowded(count: int, groups: int, seed: int = 0, levels: int | None = None) -> tuple[torch.Tensor, ...]:
    """Boxes on a small image; with ``levels`` their scores are so many values only."""
    generator = torch.Generator().manual_seed(seed)
    corner, sides = torch.rand(count, 2, generator=generator) * 80, torch.rand(count, 2, generator=generator) * 40 + 5
    scores = torch.rand(count, generator=generator)
    scores = (scores * levels).floor() / levels if levels else scores
    return torch.cat((corner, corner + sides), 1), scores, torch.randint(0, groups, (count,), generator=generator)


@pytest.fixture
def small_tables(monkeypatch):
    """Tables of a few boxes from the third box of a group on, so that few boxes pass through many."""
    monkeypatch.setattr(cpu, "SMALL", 2)
    monkeypatch.setattr(cpu, "BLOCK", 7)
    monkeypatch.setattr(cpu, "TABLE", 4)


def test_three_boxes_worked_by_hand():
    # the second overlaps the first by 8 x 10 of 120 (IoU 2/3), the third the second alike and the first by 60 of 140
    boxes = torch.tensor([[0.0, 0, 10, 10], [2, 0, 12, 10], [4, 0, 14, 10]])
    scores = torch.tensor([0.7, 0.9, 0.8])
    assert nms(boxes, scores, 0.5).tolist() == [1]  # both others overlap it
    assert nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist() == [0, 2]  # the third is held to kept boxes only
    assert nms(boxes, scores, 2 / 3 + 1e-6).tolist() == [1, 2, 0]
    assert batched_nms(boxes, scores, torch.tensor([5, -1, 5]), 0.5).tolist() == [1, 2, 0]


def test_an_overlap_of_exactly_the_threshold_is_kept():
    # 3 x 10 of 100: three tenths; the float32 next to it is a little over, the double a little under
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 3, 10]])
    for boxes_of_a_type in (boxes, boxes.double(), boxes.half()):
        for batched in (batched_nms, reference.batched_nms):
            kept = batched(boxes_of_a_type, torch.tensor([0.9, 0.8]), torch.zeros(2, dtype=torch.int64), 0.3, None)
            assert kept.tolist() == [0, 1]


@pytest.mark.parametrize("count", [0, 1, 2, 40, 700])
@pytest.mark.parametrize("iou", [0.0, 0.3, 0.7, 1.0])
def test_one_group_equals_torchvision(count, iou):
    boxes, scores, _ = crowded(count, 1, seed=count)
    assert nms(boxes, scores, iou).tolist() == torchvision.ops.nms(boxes, scores, iou).tolist()


@pytest.mark.parametrize("groups", [1, 3, 90])
def test_groups_equal_torchvision_called_for_each(groups):
    boxes, scores, group = crowded(900, groups, seed=groups)
    expected = torch.cat(
        [
            index[torchvision.ops.nms(boxes[index], scores[index], 0.4)]
            for index in (torch.where(group == g)[0] for g in range(groups))
        ]
    )
    expected = expected[scores[expected].argsort(descending=True)]
    assert batched_nms(boxes, scores, group, 0.4).tolist() == expected.tolist()


def test_tables_equal_the_reference(small_tables):
    for seed in range(20):
        boxes, scores, groups = crowded(120, seed % 4 + 1, seed, levels=9 if seed % 2 else None)
        most = (None, 1, 5)[seed % 3]
        expected = reference.batched_nms(boxes, scores, groups, 0.3, most)
        assert batched_nms(boxes, scores, groups, 0.3, most).tolist() == expected.tolist()


coordinate = st.one_of(st.integers(0, 12).map(float), st.sampled_from([NAN, INF, -INF, 1e30, -3.0, 1e-20]))
row = st.tuples(
    coordinate, coordinate, coordinate, coordinate,
    st.sampled_from([0.0, 0.25, 0.5, 1.0, -2.0, NAN, INF, -INF]), st.sampled_from([0, 1, -7, 2**40]),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(row, max_size=25), st.sampled_from([0.0, 0.3, 0.5]), st.sampled_from([None, 1, 3]), st.booleans())
def test_ugly_boxes_equal_the_reference(rows, iou, most, tables):
    boxes = torch.tensor([r[:4] for r in rows]).reshape(-1, 4)
    scores = torch.tensor([r[4] for r in rows])
    groups = torch.tensor([r[5] for r in rows], dtype=torch.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "SMALL", 0 if tables else 500)
        kept = batched_nms(boxes, scores, groups, iou, most)
    assert kept.tolist() == reference.batched_nms(boxes, scores, groups, iou, most).tolist()


def test_groups_are_told_apart_exactly_where_moved_boxes_would_blur():
    # two boxes of 8 pixels and an IoU of 0.5003; moved by 1000 images' width, float32 has steps of 1/8 pixel there
    boxes = torch.tensor([[10.0, 10, 18, 18], [10, 12.664, 18, 20.664]])
    boxes = boxes.repeat(1000, 1)
    groups = torch.arange(1000).repeat_interleave(2)
    scores = torch.linspace(1, 0.5, 2000)
    assert batched_nms(boxes, scores, groups, 0.5).tolist() == list(range(0, 2000, 2))
    assert batched_nms(boxes, scores, groups, 0.501).tolist() == list(range(2000))


def test_equal_scores_go_by_index(small_tables):
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [50, 50, 60, 60], [1, 0, 11, 10], [50, 50, 60, 60]])
    assert nms(boxes, torch.full((5,), 0.5), 0.5).tolist() == [0, 2]
    assert nms(boxes.flip(0), torch.full((5,), 0.5), 0.5).tolist() == [0, 1]


def test_boxes_with_nan_or_infinity_are_never_kept_and_suppress_nothing():
    whole = [0.0, 0, 10, 10]
    boxes = torch.tensor([[NAN, 0, 10, 10], [0, 0, 10, INF], [-INF, 0, 10, 10], whole, whole])
    scores = torch.tensor([0.9, 0.9, 0.9, NAN, 0.1])
    assert nms(boxes, scores, 0.5).tolist() == [4]
    assert nms(boxes, torch.tensor([0.9, 0.9, 0.9, -INF, INF]), 0.5).tolist() == [4], "infinite scores are an order too"


def test_boxes_without_area_or_upside_down_overlap_nothing():
    boxes = torch.tensor([[3.0, 3, 3, 3], [3, 3, 3, 3], [9, 9, 2, 2], [9, 9, 2, 2], [0, 0, 10, 10]])
    assert nms(boxes, torch.linspace(1, 0.5, 5), 0.0).tolist() == [0, 1, 2, 3, 4]


def test_most_keeps_the_best_of_each_group():
    boxes, scores, groups = crowded(2000, 3, seed=5)
    whole, few = batched_nms(boxes, scores, groups, 0.6), batched_nms(boxes, scores, groups, 0.6, most=11)
    expected = [i for g in range(3) for i in [k for k in whole.tolist() if groups[k] == g][:11]]
    assert sorted(few.tolist()) == sorted(expected)
    assert few.tolist() == sorted(expected, key=lambda k: -scores[k])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_of_boxes_and_scores(dtype, small_tables):
    boxes, scores, groups = crowded(300, 4, seed=9)
    boxes, scores = boxes.to(dtype), scores.to(dtype)
    expected = reference.batched_nms(boxes.float(), scores, groups, 0.5, None)
    assert batched_nms(boxes, scores, groups, 0.5).tolist() == expected.tolist()


def test_an_op_that_torch_can_compile_whole_and_check():
    boxes, scores, groups = crowded(60, 3, seed=1)
    torch.library.opcheck(op.batched_nms, (boxes, scores, groups, 0.5, None))
    torch.library.opcheck(op.batched_nms, (boxes, scores, groups, 0.5, 2))
    compiled = torch.compile(lambda b, s, g: b[batched_nms(b, s, g, 0.5)], fullgraph=True, backend="aot_eager")
    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        found = compiled(boxes, scores, groups)
    torch.testing.assert_close(found, boxes[batched_nms(boxes, scores, groups, 0.5)])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(batched_nms(boxes, scores, groups, 0.5), batched_nms(boxes, scores, groups, 0.5))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"boxes": torch.zeros(3, 5)}, r"boxes must be \(N, 4\) float rows .* got torch.float32 \(3, 5\)"),
        ({"boxes": torch.zeros(3, 4, dtype=torch.int64)}, r"float rows .* got torch.int64"),
        ({"scores": torch.zeros(2)}, r"scores must be \(3,\) as boxes, got \(2,\)"),
        ({"groups": torch.zeros(3, 1, dtype=torch.int64)}, r"groups must be \(3,\) as boxes, got \(3, 1\)"),
        ({"groups": torch.zeros(3)}, "groups must be int64, got torch.float32"),
        ({"iou": NAN}, "iou must be a threshold of at least 0, got nan"),
        ({"most": 0}, "most must be 1 or more boxes of each group, or None, got 0"),
    ],
)
def test_wrong_arguments_are_told_what_was_wanted(wrong, message):
    right = {
        "boxes": torch.zeros(3, 4),
        "scores": torch.zeros(3),
        "groups": torch.zeros(3, dtype=torch.int64),
        "iou": 0.5,
    }
    with pytest.raises(ValueError, match=message):
        batched_nms(**(right | wrong))
