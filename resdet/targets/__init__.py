"""What the anchors should say: matching, sampling, assignment.  Training only."""
