"""Networks that turn images into feature maps, under torchvision's parameter names."""

from resdet.backbones.cifar import CifarResNet
from resdet.backbones.resnet import ResNet

Backbone = ResNet | CifarResNet  # the same face: forward, features, classify, channels, strides, fc
