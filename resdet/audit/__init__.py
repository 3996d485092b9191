"""What is wrong with a data set before anything is trained on it: its files, its boxes, images it has twice."""
