"""Whole jobs, as the scripts in tools/ run them: training, evaluation and inference from options to files."""
