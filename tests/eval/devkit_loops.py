"""The evaluators that were published, transcribed loop by loop: slow, and independent of ours.

``ilsvrc``: ``eval_detection.m`` and ``VOCap.m`` of the ILSVRC2015 development kit.  ``voc``: py-faster-rcnn's
``voc_eval.py``, with the kit's ``>=`` in place of its ``>``.
"""

import numpy as np


def ilsvrc(truth, found, classes, blacklist=()):
    """Average precision of each class, NaN without a true box.

    Args:
        truth: a list of ``(label, inclusive box)`` an image.
        found: a list of ``(label, score, inclusive box)`` an image.
        blacklist: pairs of image and label.
    """
    num_pos = np.zeros(classes)
    tp_all, fp_all, labels_all, conf_all = [], [], [], []
    for i, (objects, detections) in enumerate(zip(truth, found, strict=True)):
        gt_labels, gt_boxes, gt_thr = [], [], []
        for label, bb, *_ in objects:
            if (i, label) in blacklist:
                continue
            num_pos[label] += 1
            gt_w, gt_h = bb[3] - bb[1] + 1, bb[2] - bb[0] + 1  # swapped in the code, to no effect
            gt_labels.append(label)
            gt_boxes.append(bb)
            gt_thr.append(min(0.5, (gt_w * gt_h) / ((gt_w + 10) * (gt_h + 10))))
        gt_detected = [0] * len(gt_labels)
        for label, conf, bb in sorted(detections, key=lambda row: -row[1]):  # stable
            if (i, label) in blacklist:
                continue
            ovmax, kmax = -np.inf, -1
            for k in range(len(gt_labels)):
                if gt_labels[k] != label or gt_detected[k] > 0:
                    continue
                ov = overlap(bb, gt_boxes[k])
                if ov is not None and ov >= gt_thr[k] and ov > ovmax:
                    ovmax, kmax = ov, k
            tp_all.append(int(kmax >= 0))
            fp_all.append(int(kmax < 0))
            labels_all.append(label)
            conf_all.append(conf)
            if kmax >= 0:
                gt_detected[kmax] = 1
    order = sorted(range(len(conf_all)), key=lambda j: -conf_all[j])
    ap = []
    for c in range(classes):
        tp = np.cumsum([tp_all[j] for j in order if labels_all[j] == c])
        fp = np.cumsum([fp_all[j] for j in order if labels_all[j] == c])
        ap.append(voc_ap(tp / num_pos[c], tp / (fp + tp)) if num_pos[c] else np.nan)
    return ap


def voc(truth, found, classes, use_07_metric):
    """Average precision of each class, NaN without a true box that is not difficult; arguments as above."""
    ap = []
    for c in range(classes):
        class_recs, npos = {}, 0
        for i, objects in enumerate(truth):
            mine = [(bb, difficult) for label, bb, difficult in objects if label == c]
            difficult = np.array([flag for _, flag in mine], dtype=bool)
            npos += int(sum(~difficult))
            class_recs[i] = {"bbox": [bb for bb, _ in mine], "difficult": difficult, "det": [False] * len(mine)}
        rows = [(i, conf, bb) for i, detections in enumerate(found) for label, conf, bb in detections if label == c]
        rows = sorted(rows, key=lambda row: -row[1])  # stable
        tp, fp = np.zeros(len(rows)), np.zeros(len(rows))
        for d, (i, _, bb) in enumerate(rows):
            r, ovmax, jmax = class_recs[i], -np.inf, -1
            for j, bbgt in enumerate(r["bbox"]):
                ov = overlap(bb, bbgt)
                if ov is not None and ov > ovmax:
                    ovmax, jmax = ov, j
            if ovmax >= 0.5:
                if not r["difficult"][jmax]:
                    if not r["det"][jmax]:
                        tp[d] = 1.0
                        r["det"][jmax] = True
                    else:
                        fp[d] = 1.0
            else:
                fp[d] = 1.0
        fp, tp = np.cumsum(fp), np.cumsum(tp)
        prec = tp / np.maximum(tp + fp, np.finfo(np.float64).eps)
        ap.append((voc_ap_07 if use_07_metric else voc_ap)(tp / npos, prec) if npos else np.nan)
    return ap


def overlap(bb, bbgt):
    bi = [max(bb[0], bbgt[0]), max(bb[1], bbgt[1]), min(bb[2], bbgt[2]), min(bb[3], bbgt[3])]
    iw, ih = bi[2] - bi[0] + 1, bi[3] - bi[1] + 1
    if iw <= 0 or ih <= 0:
        return None
    ua = (bb[2] - bb[0] + 1) * (bb[3] - bb[1] + 1) + (bbgt[2] - bbgt[0] + 1) * (bbgt[3] - bbgt[1] + 1) - iw * ih
    return iw * ih / ua


def voc_ap(rec, prec):
    mrec = np.concatenate(([0.0], rec, [1.0]))
    mpre = np.concatenate(([0.0], prec, [0.0]))
    for i in range(mpre.size - 1, 0, -1):
        mpre[i - 1] = np.maximum(mpre[i - 1], mpre[i])
    i = np.where(mrec[1:] != mrec[:-1])[0]
    return np.sum((mrec[i + 1] - mrec[i]) * mpre[i + 1])


def voc_ap_07(rec, prec):
    ap = 0.0
    for t in np.arange(0.0, 1.1, 0.1):
        p = 0 if np.sum(rec >= t) == 0 else np.max(prec[rec >= t])
        ap = ap + p / 11.0
    return ap
