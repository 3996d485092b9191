"""From scores and boxes of anchors to the boxes that are answered."""
