"""Whole models: ``forward(batch)`` gives losses, other methods give answers."""
