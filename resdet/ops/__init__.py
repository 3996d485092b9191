"""Operations on regions: each a face that checks and chooses, a reference written to be read, and faster paths."""

from resdet.ops.nms import batched_nms, nms
from resdet.ops.roi_align import roi_align
from resdet.ops.roi_pool import roi_pool

__all__ = ["batched_nms", "nms", "roi_align", "roi_pool"]
