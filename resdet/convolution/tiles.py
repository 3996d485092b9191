"""How a map is cut up for the products of :mod:`resdet.convolution.toom_cook`, and put together again."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

from resdet.convolution.toom_cook import Product, along_a_side, on_a_map

WHOLE = 7  # cells: a side up to here is one tile, as conv5's regions are; at 8 the points run out of digits
SIDE = 4  # cells of a tile of a larger side


class Cut(NamedTuple):
    """How maps of one height and width are cut into tiles."""

    height: int
    width: int
    tiles: tuple[int, int]  # along the height and the width
    side: tuple[int, int]  # cells that a tile gives
    read: tuple[int, int]  # cells that a tile reads: two more, but for the border of zeros where it is the whole side
    product: Product  # float32

    @property
    def points(self) -> int:
        return len(self.product.take)

    @property
    def whole(self) -> bool:
        """Whether a map is one tile."""
        return self.tiles == (1, 1)


@cache
def cut_of(height: int, width: int) -> Cut:
    """The cut of maps of this size; both sides are 2 or more."""
    tiles, side, read = zip(*(_along(extent) for extent in (height, width)), strict=True)
    return Cut(height, width, tiles, side, read, _product(side, read))


def _along(extent: int) -> tuple[int, int, int]:
    """Of a side: the number of tiles, and how many cells each gives and reads."""
    return (1, extent, extent) if extent <= WHOLE else (-(-extent // SIDE), SIDE, SIDE + 2)


@cache
def _product(sides: tuple[int, int], read: tuple[int, int]) -> Product:
    rows, columns = (_without_border(*pair) for pair in zip(sides, read, strict=True))
    return Product(*(matrix.float() for matrix in on_a_map(rows, columns)))


def _without_border(side: int, read: int) -> Product:
    """The product along a side; a tile that is the whole side does not read the zeros around it."""
    product = along_a_side(side)
    return product if read > side else product._replace(take=product.take[:, 1:-1])


def parts(cut: Cut, maps: int, channels: int, most: int) -> Iterator[tuple[slice, slice]]:
    """Slices of maps and of rows of tiles that together have at most ``most`` numbers at the points."""
    rows = cut.tiles[0]
    at_once = max(1, most // (cut.tiles[1] * cut.points * channels))  # rows of tiles
    if at_once >= rows:
        yield from ((some, slice(0, rows)) for some in _evenly(maps, at_once // rows))
    else:
        yield from ((slice(i, i + 1), some) for i in range(maps) for some in _evenly(rows, at_once))


def _evenly(count: int, most: int) -> Iterator[slice]:
    """The fewest slices of at most ``most``, of nearly equal lengths: a matrix product of few rows is slow."""
    pieces = -(-count // most)
    edges = [count * piece // pieces for piece in range(pieces + 1)] if pieces else []
    yield from (slice(*pair) for pair in pairwise(edges))


def bordered(cut: Cut, maps: Tensor) -> Tensor:
    """``(B, H, W, C)`` with the zeros around it that tiles read."""
    if cut.whole:
        return maps
    (top, bottom), (left, right) = _borders(cut)
    return functional.pad(maps, (0, 0, left, right, top, bottom))


def without_border(cut: Cut, border: Tensor) -> Tensor:
    """The transpose of :func:`bordered`."""
    (top, _), (left, _) = _borders(cut)
    return border[:, top : top + cut.height, left : left + cut.width]


def _borders(cut: Cut) -> list[tuple[int, int]]:
    """Widths of the border: before and behind, along the height and along the width."""
    extents = zip(cut.tiles, cut.side, cut.read, (cut.height, cut.width), strict=True)
    return [(1, count * side - extent + 1) if read > side else (0, 0) for count, side, read, extent in extents]


def tiles_read(cut: Cut, border: Tensor, maps: slice, rows: slice) -> Tensor:
    """``(T, cells, C)``: what the tiles of these maps and rows read of :func:`bordered` maps."""
    return _windows(cut, border, maps, rows, cut.read, (0, 0)).flatten(3, 4).flatten(0, 2)


def add_tiles_read(cut: Cut, border: Tensor, tiles: Tensor, maps: slice, rows: slice) -> None:
    """The transpose of :func:`tiles_read`: ``(T, cells, C)`` are added to the cells that they were read from."""
    size = maps.stop - maps.start, rows.stop - rows.start, cut.tiles[1], *cut.read
    tiles = tiles.reshape(*size, -1)
    sides = zip(cut.side, cut.read, strict=True)
    spans = [((0, side), (side, read)) if read > side else ((0, read),) for side, read in sides]
    for top, bottom in spans[0]:  # tiles overlap by two cells: in four parts no cell is written twice
        for left, right in spans[1]:
            window = _windows(cut, border, maps, rows, (bottom - top, right - left), (top, left))
            window += tiles[:, :, :, top:bottom, left:right]


def _windows(
    cut: Cut, border: Tensor, maps: slice, rows: slice, extent: tuple[int, int], first: tuple[int, int]
) -> Tensor:
    """A view ``(maps, rows, columns, *extent, C)`` of every tile's cells from ``first`` on."""
    _, height, width, channels = border.shape
    (down, right), row = cut.side, width * channels
    size = maps.stop - maps.start, rows.stop - rows.start, cut.tiles[1], *extent, channels
    begin = maps.start * height * row + (rows.start * down + first[0]) * row + first[1] * channels
    strides = height * row, down * row, right * channels, row, channels, 1
    return border.as_strided(size, strides, border.storage_offset() + begin)


def put(cut: Cut, out: Tensor, tiles: Tensor, maps: slice, rows: slice) -> None:
    """What tiles give, ``(T, cells, C)``, to its place in ``(B, H, W, C)``."""
    size = maps.stop - maps.start, rows.stop - rows.start
    down, right = cut.side
    grid = tiles.view(*size, cut.tiles[1], down, right, -1).transpose(2, 3)
    grid = grid.reshape(size[0], size[1] * down, -1, out.shape[3])
    place = out[maps, rows.start * down : rows.stop * down]
    place.copy_(grid[:, : place.shape[1], : place.shape[2]])


def taken(cut: Cut, out: Tensor, maps: slice, rows: slice) -> Tensor:
    """The transpose of :func:`put`: ``(T, cells, C)`` of ``(B, H, W, C)``, zeros where a tile reaches beyond it."""
    down, right = cut.side
    place = out[maps, rows.start * down : rows.stop * down]
    if cut.whole:
        return place.flatten(1, 2)
    across = cut.tiles[1]
    tall, wide = (rows.stop - rows.start) * down, across * right
    place = functional.pad(place, (0, 0, 0, wide - place.shape[2], 0, tall - place.shape[1]))
    grid = place.reshape(len(place), -1, down, across, right, place.shape[3])
    return grid.transpose(2, 3).flatten(3, 4).flatten(0, 2)
