"""An image as it was when its boxes were drawn: ILSVRC's annotators were shown some images at another size.

"The displayed size will differ from the actual size of the image", says TensorFlow's script for these boxes (slim,
``datasets/process_bounding_boxes.py``); others have scaled their copy of the images since.  Detection's sets are
held to their sizes instead (:func:`resdet.data.detection.open_annotated`).
"""

from __future__ import annotations

from collections.abc import Sequence

from resdet.data.image import check_size, decode_with_pil, read_bytes
from resdet.data.records import Records
from resdet.data.stored_image import StoredImage, of_pixels
from resdet.data.views import cut
from resdet.errors import InputError
from resdet.structures import View

ALIKE = 0.03  # of a side: how far two shapes may be apart where one was scaled to the other; sides are rounded


def open_as_drawn_on(records: Records, index: int) -> StoredImage:
    """The image, of the width and height that its annotation gives: boxes fit it, and found ones fit the annotation.

    One of that size, or whose annotation gives none, is still to be decoded; one of another size is scaled.  One that
    EXIF turns is as its file holds it where the annotation's size says that EXIF was not heeded.

    Raises:
        InputError: the annotation is of an image of another shape, or of more pixels than are read from any file; as
            :meth:`resdet.data.records.Records.open`.
    """
    image = records.open(index)
    width, height = records.sizes[index].tolist()
    if min(width, height) <= 0 or (image.width, image.height) == (width, height):
        return image
    check_size(image.file, width, height)
    seen, drawn = (image.width, image.height), (width, height)
    if image.pixels is not None and _apart(seen[::-1], drawn) < _apart(seen, drawn):  # nearer, were it on its side
        stored = decode_with_pil(image.file, read_bytes(image.file), upright=False)
        if stored.shape[:2] == seen and same_shape(seen[::-1], drawn):
            return of_pixels(cut(stored, View((0, 0, image.height, image.width), width, height)), image.file)
    if not same_shape(seen, drawn):
        raise InputError(
            f"{image.file}: the annotation is of an image of {width} x {height} pixels, the file has "
            f"{image.width} x {image.height}, which is another shape: its boxes would be in wrong places"
        )
    return of_pixels(image.view(View((0, 0, image.width, image.height), width, height)), image.file)


def same_shape(size: Sequence[int], other: Sequence[int]) -> bool:
    """Whether one of two pictures, of which width and height are given, may be the other scaled."""
    return _apart(size, other) <= ALIKE


def _apart(size: Sequence[int], other: Sequence[int]) -> float:
    """By how much of a side two pictures are of different shapes, whatever their sizes."""
    across, down = size[0] / other[0], size[1] / other[1]
    return abs(across - down) / max(across, down)
