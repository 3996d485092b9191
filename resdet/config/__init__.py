"""Every setting, with the paper's value as its default; YAML files hold only differences.

The dataclasses are the schema, and refuse values that cannot be meant.  :mod:`resdet.settings` reads YAML files
and ``section.key=value`` words into them.  Models never see a config: :mod:`resdet.build` translates.
"""

from resdet.config.backbone import BackboneConfig as BackboneConfig
from resdet.config.cls import ClassifierConfig as ClassifierConfig
from resdet.config.cls import ClsConfig as ClsConfig
from resdet.config.cls import ClsTestConfig as ClsTestConfig
from resdet.config.data import AugmentConfig as AugmentConfig
from resdet.config.data import DataConfig as DataConfig
from resdet.config.det import DetAugmentConfig as DetAugmentConfig
from resdet.config.det import DetConfig as DetConfig
from resdet.config.det import DetDataConfig as DetDataConfig
from resdet.config.det import DetectorConfig as DetectorConfig
from resdet.config.det import DetTestConfig as DetTestConfig
from resdet.config.det import FPNConfig as FPNConfig
from resdet.config.loc import LocalizerConfig as LocalizerConfig
from resdet.config.loc import LocConfig as LocConfig
from resdet.config.loc import LocTestConfig as LocTestConfig
from resdet.config.rcnn import ProposalsConfig as ProposalsConfig
from resdet.config.rcnn import RCNNConfig as RCNNConfig
from resdet.config.rcnn import RCNNModelConfig as RCNNModelConfig
from resdet.config.rcnn import RCNNTestConfig as RCNNTestConfig
from resdet.config.running import check_read as check_read
from resdet.config.tasks import SCHEMAS as SCHEMAS
from resdet.config.tasks import AnyConfig as AnyConfig
from resdet.config.train import TrainConfig as TrainConfig
from resdet.settings import from_dict as from_dict  # the schema and its reader are used together
from resdet.settings import load_config as load_config
from resdet.settings import override as override
from resdet.settings import to_dict as to_dict
