"""From files to batches: annotations of every format, images, views, augmentation, loading."""
