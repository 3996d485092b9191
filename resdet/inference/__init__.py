"""Trained models over batches of images: in crops, at several scales, several networks together."""
