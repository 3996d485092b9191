"""What ``tools/benchmark.py`` measures, one module a suite: its ``rows(device)`` yields comparison after comparison."""
