"""Pure functions on boxes: xyxy, float32, continuous pixels, ``(N, 4)``."""
