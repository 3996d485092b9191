import pytest
import torch

from resdet.targets.sampling import draw, sample


def drawn(label, overlap, count, seed=0):
    torch.manual_seed(seed)
    index, taken = sample(torch.tensor([label]), torch.tensor([overlap], dtype=torch.float32), count)
    assert index.shape == taken.shape == (1, count)
    return index[0].tolist(), taken[0].tolist()


def test_half_objects_half_background_where_there_are_enough():
    label = [1] * 10 + [0] * 10
    index, taken = drawn(label, [0.8] * 10 + [0.1] * 10, 8)
    assert sorted(taken) == [0] * 4 + [1] * 4
    assert all(label[i] == t for i, t in zip(index, taken, strict=True))


def test_background_fills_up_where_objects_are_few():
    index, taken = drawn([1, 1] + [0] * 10, [0.8] * 2 + [0.1] * 10, 8)
    assert sum(taken) == 2
    assert taken.count(0) == 6
    assert {0, 1} < set(index)


def test_lowest_overlap_comes_next_where_background_runs_out():
    #         object  background  neither, by overlap: 3, 5, 2, 4
    label = [1, 0, -1, -1, -1, -1]
    index, taken = drawn(label, [0.9, 0.1, 0.5, 0.3, 0.6, 0.4], 4)
    assert (index, taken) == ([0, 1, 3, 5], [1, 0, 0, 0])


def test_background_comes_before_any_anchor_that_is_neither():
    for seed in range(50):
        index, _ = drawn([0, 0, -1, 0, 0], [0.29, 0.29, 0.0, 0.29, 0.29], 4, seed)
        assert sorted(index) == [0, 1, 3, 4]


def test_object_is_never_taken_as_background():
    index, taken = drawn([1, 1, 1, 1, 1, 0], [0.9] * 5 + [0.0], 8)
    assert taken == [1, 1, 1, 1, 0, -1, -1, -1]
    assert index[4:] == [5, 0, 0, 0]


def test_map_with_fewer_anchors_than_slots_leaves_slots_over():
    index, taken = drawn([0, 1], [0.0, 1.0], 8)
    assert (index, taken) == ([1, 0, 0, 0, 0, 0, 0, 0], [1, 0, -1, -1, -1, -1, -1, -1])
    index, taken = drawn([0, 0, 0], [0.0, 0.0, 0.0], 8)
    assert sorted(index[:3]) == [0, 1, 2]
    assert taken == [0, 0, 0, -1, -1, -1, -1, -1]


def test_every_anchor_of_a_kind_is_drawn_equally_often():
    torch.manual_seed(0)
    label = torch.tensor([1] * 6 + [0] * 12 + [-1] * 3).repeat(3000, 1)
    index, taken = sample(label, torch.zeros(label.shape), 8)
    objects = torch.bincount(index[taken == 1], minlength=21) / 3000
    others = torch.bincount(index[taken == 0], minlength=21) / 3000
    torch.testing.assert_close(objects[:6], torch.full((6,), 4 / 6), rtol=0, atol=0.05)  # six deviations
    torch.testing.assert_close(others[6:18], torch.full((12,), 4 / 12), rtol=0, atol=0.05)
    assert objects[6:].sum() + others[:6].sum() + others[18:].sum() == 0


def test_same_seed_same_anchors():
    label = [1] * 20 + [0] * 50
    assert drawn(label, [0.5] * 70, 8, seed=3) == drawn(label, [0.5] * 70, 8, seed=3)
    assert drawn(label, [0.5] * 70, 8, seed=3) != drawn(label, [0.5] * 70, 8, seed=4)


@pytest.mark.parametrize("seed", range(100))
def test_what_holds_for_any_labels(seed):
    generator = torch.Generator().manual_seed(seed)
    batch, anchors, count = (int(torch.randint(1, n, (), generator=generator)) for n in (4, 30, 20))
    odds = torch.rand(3, generator=generator) ** 3 + 1e-6  # some kinds often all but missing
    label = torch.multinomial(odds, batch * anchors, replacement=True, generator=generator).view(batch, anchors) - 1
    overlap = torch.rand(batch, anchors, generator=generator)
    torch.manual_seed(seed)
    index, taken = sample(label, overlap, count)
    assert index.shape == taken.shape == (batch, count)
    for image in range(batch):
        kinds, used = label[image], taken[image] >= 0
        where, what = index[image][used], taken[image][used]
        objects, background = int((kinds == 1).sum()), int((kinds == 0).sum())
        assert len(set(where.tolist())) == len(where), "an anchor twice"
        assert (kinds[where[what == 1]] == 1).all()
        assert (kinds[where[what == 0]] != 1).all(), "an object as background"
        assert (what == 1).sum() == min(objects, count // 2)
        assert len(where) == min(count, int((what == 1).sum()) + anchors - objects), "a slot is left over in vain"
        fillers = where[(what == 0) & (kinds[where] == -1)]
        if len(fillers):
            assert (kinds[where] == 0).sum() == background, "background was left"
            unused = [i for i in range(anchors) if kinds[i] == -1 and i not in where]
            assert all(overlap[image, i] >= overlap[image, fillers].max() for i in unused)
        assert (index[image][~used] == 0).all()


def test_draw_takes_neither_more_objects_than_their_share_nor_what_is_neither():
    kinds = torch.tensor([[1] * 6 + [0] * 12 + [-1] * 3]).repeat(500, 1)
    torch.manual_seed(0)
    index, taken = draw(kinds == 1, kinds == 0, 8, 0.25)
    assert taken.tolist() == [[1, 1] + [0] * 6] * 500
    assert torch.equal(kinds.gather(1, index), taken)
    assert all(len(set(row)) == 8 for row in index.tolist())
    often = torch.bincount(index.flatten(), minlength=21) / 500
    assert often[:6].sub(2 / 6).abs().max() < 0.08
    assert often[6:18].sub(6 / 12).abs().max() < 0.08


def test_draw_leaves_slots_over_where_there_is_too_little():
    kinds = torch.tensor([[1, -1, 0, -1]])
    index, taken = draw(kinds == 1, kinds == 0, 5, 0.5)
    assert (index.tolist(), taken.tolist()) == ([[0, 2, 0, 0, 0]], [[1, 0, -1, -1, -1]])
    index, taken = draw(kinds == 5, kinds == 5, 3, 0.5)
    assert (index.tolist(), taken.tolist()) == ([[0, 0, 0]], [[-1, -1, -1]])
