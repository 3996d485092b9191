"""Prediction files: written one image at a time, read back against the records they were made for.

A localization file is any of the development kit's text, Kaggle's CSV and our own jsonl: :mod:`.devkit`,
:mod:`.kaggle`, :mod:`.jsonl` each read and write one form; :func:`.read.read_loc` tells them apart.
"""
