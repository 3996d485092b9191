"""Prediction files: written one image at a time, read back against the records they were made for.

A localization file is any of the development kit's text, Kaggle's CSV and our own jsonl: :mod:`.devkit`,
:mod:`.kaggle`, :mod:`.jsonl` each read and write one form; :func:`.read.read_loc` tells them apart.
A file of detections is any of the DET kit's text, VOC's file a class, COCO's json and our jsonl: :mod:`.det_devkit`,
:mod:`.det_voc`, :mod:`.det_coco`, :mod:`.det_jsonl`; :func:`.read.read_det` tells them apart.
:mod:`.write` writes the predictions of a whole data set.
"""
