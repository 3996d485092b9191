"""What is left out of a corrected set is left out of all of it: annotations, lists and links."""

import broken_sets

from resdet.data.formats import open_records
from resdet.jobs.audit import audit
from resdet.jobs.audit_report import write_corrected

RIGHT = (5, 6, 30, 31)


def corrected(folder, *specs):
    """The kinds of what is found, and the corrected sets in ``folder``."""
    done = audit(specs, None, (), lambda items, count, what: items)
    write_corrected(folder, done)
    return sorted(finding.kind for finding in done.findings)


def names_of(spec):
    records = open_records(spec)
    return sorted(records.name(i) for i in range(len(records)))


def cut(file):
    """Take off an image's end."""
    file.write_bytes(file.read_bytes()[:-40])


def draw_kaggle(root, split, names, rows):
    """Images of the first class, and the rows of some of them in Kaggle's table."""
    wnid = broken_sets.WNIDS[0]
    inner = f"{wnid}/" if split == "train" else ""
    listed = root / "ImageSets/CLS-LOC" / {"train": "train_loc.txt", "val": "val.txt"}[split]
    listed.parent.mkdir(parents=True)
    listed.write_text("".join(f"{inner}{name} {number}\n" for number, name in enumerate(names, 1)))
    for number, name in enumerate(names):
        broken_sets.image(root / "Data/CLS-LOC" / split / f"{inner}{name}.JPEG", number)
    table = "".join(f"{name},{wnid} {' '.join(map(str, RIGHT))}\n" for name in rows)
    (root / f"LOC_{split}_solution.csv").write_text(f"ImageId,PredictionString\n{table}")


def test_an_unreadable_train_image_leaves_kaggles_list_which_names_its_folder_too(tmp_path):
    wnid, root = broken_sets.WNIDS[0], tmp_path / "set"
    names = [f"{wnid}_{number}" for number in (1, 2, 3)]
    draw_kaggle(root, "train", names, names)
    cut(root / f"Data/CLS-LOC/train/{wnid}/{names[0]}.JPEG")
    assert corrected(tmp_path / "fixed", f"ilsvrc-loc:{root}:train") == ["unreadable"]
    written = (tmp_path / "fixed/ImageSets/CLS-LOC/train_loc.txt").read_text()
    assert written == f"{wnid}/{names[1]} 2\n{wnid}/{names[2]} 3\n"
    assert names_of(f"ilsvrc-loc:{tmp_path / 'fixed'}:train") == names[1:]


def test_a_val_image_without_a_row_leaves_kaggles_list(tmp_path):
    draw_kaggle(tmp_path / "set", "val", ["a", "b"], ["b"])
    assert "no-annotation" in corrected(tmp_path / "fixed", f"ilsvrc-loc:{tmp_path / 'set'}:val")
    assert (tmp_path / "fixed/ImageSets/CLS-LOC/val.txt").read_text() == "b 2\n"
    assert names_of(f"ilsvrc-loc:{tmp_path / 'fixed'}:val") == ["b"]


def test_a_train_image_that_needs_no_row_stays_in_kaggles_list(tmp_path):
    wnid, root = broken_sets.WNIDS[0], tmp_path / "set"
    names = [f"{wnid}_{number}" for number in (1, 2)]
    draw_kaggle(root, "train", names, names[:1])
    (root / "ImageSets/CLS-LOC/train_loc.txt").rename(root / "ImageSets/CLS-LOC/train_cls.txt")
    assert corrected(tmp_path / "fixed", f"ilsvrc-loc:{root}:train_cls") == []
    assert names_of(f"ilsvrc-loc:{tmp_path / 'fixed'}:train_cls") == names
