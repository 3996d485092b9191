"""Networks that turn images into feature maps, under torchvision's parameter names."""
