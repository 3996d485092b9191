"""From settings to objects: the only room that knows both the config and the models."""

from resdet.build.backbone import build_backbone as build_backbone
from resdet.build.backbone import place as place
from resdet.build.cls import build_classifier as build_classifier
from resdet.build.cls import build_cls_protocol as build_cls_protocol
from resdet.build.cls import load_pixel_mean as load_pixel_mean
from resdet.build.det import Detector as Detector
from resdet.build.det import build_det_protocol as build_det_protocol
from resdet.build.det import build_detector as build_detector
from resdet.build.det import start_detector as start_detector
from resdet.build.first_weights import load_backbone as load_backbone
from resdet.build.loc import build_localizer as build_localizer
from resdet.build.loc import build_protocol as build_protocol
from resdet.build.loc import start_localizer as start_localizer
from resdet.build.rcnn import build_rcnn as build_rcnn
from resdet.build.rcnn import build_rescoring as build_rescoring
from resdet.build.schedule import detection_plan as detection_plan
from resdet.build.schedule import plan as plan
from resdet.build.trained import Loaded as Loaded
from resdet.build.trained import open_model as open_model
