"""The schema of each task's settings."""

from __future__ import annotations

from resdet.config.cls import ClsConfig
from resdet.config.det import DetConfig
from resdet.config.loc import LocConfig
from resdet.config.rcnn import RCNNConfig

AnyConfig = ClsConfig | LocConfig | RCNNConfig | DetConfig
SCHEMAS: dict[str, type[AnyConfig]] = {  # by what a checkpoint calls its task
    "cls": ClsConfig,
    "loc": LocConfig,
    "rcnn": RCNNConfig,
    "det": DetConfig,
}
