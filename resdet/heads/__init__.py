"""Heads: parameters and forward only; no matching, no loss, no choosing of boxes."""
