"""images.json, images.txt and classes.txt, which infer.py writes: what the numbers in its results mean."""

import json

import pytest
from det_sets import records_of

from resdet.data.records import Classes
from resdet.errors import InputError
from resdet.predictions.read import read_det
from resdet.predictions.write import write_det


def test_cocos_results_go_by_the_names_of_images_json_where_it_lies_beside_them(tmp_path):
    """infer.py knows no data set: it numbers images and classes itself, here in another order than the set does."""
    result = {"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.5}
    (tmp_path / "predictions.json").write_text(json.dumps([result]))
    records = records_of(names=("c", "a", "b"))
    images = [{"id": number, "file_name": f"photographs/{name}.jpg"} for number, name in enumerate("abc", 1)]
    names = list(reversed(records.classes.names))
    told = {"images": images, "categories": [{"id": number, "name": name} for number, name in enumerate(names, 1)]}
    (tmp_path / "images.json").write_text(json.dumps(told))
    found = read_det(tmp_path / "predictions.json", records)
    assert found.images.tolist() == [1]  # "a"
    assert [records.classes.names[label] for label in found.labels] == [names[1]]
    write_det(tmp_path, found, records, "coco")
    assert read_det(tmp_path / "predictions.json", records).images.tolist() == [1]  # by the set's own numbers now
    assert not (tmp_path / "images.json").exists()
    (tmp_path / "images.json").write_text("[" * 100_000)  # somebody else's
    assert read_det(tmp_path / "predictions.json", records).images.tolist() == [1]
    (tmp_path / "images.json").write_text(json.dumps({**told, "categories": [{"id": 2, "name": ["a list"]}]}))
    with pytest.raises(InputError, match=r"result 1: category_id .* is none of the data set's"):
        read_det(tmp_path / "predictions.json", records)


def test_the_devkits_text_goes_by_the_names_of_images_txt_where_it_lies_beside_it(tmp_path):
    """As COCO's results: infer.py numbers images itself, a set such as COCO's has numbers of its own."""
    (tmp_path / "predictions.txt").write_text("1 90 0.5 1 2 3 4\n3 7 0.4 1 2 3 4\n")
    records = records_of(names=("c", "my b", "a"))
    beside = tmp_path / "images.txt"
    beside.write_text("photographs/a 1\nelsewhere 2\nmy b 3\n")
    found = read_det(tmp_path / "predictions.txt", records)
    assert (found.images.tolist(), found.labels.tolist()) == ([2, 1], [1, 0])
    (tmp_path / "predictions.txt").write_text("1 90 0.5 1 2 3 4\n2 7 0.4 1 2 3 4\n")
    with pytest.raises(InputError, match=r"predictions\.txt:2: image 2 is none of the data set's"):
        read_det(tmp_path / "predictions.txt", records)
    write_det(tmp_path, found, records, "devkit")
    assert not beside.exists()
    assert read_det(tmp_path / "predictions.txt", records).images.tolist() == [1, 2]  # by the set's own numbers now
    for somebody_elses in ("x 1\ny 2\nz 3\n", "a one\n", "a " + "9" * 5000, "a " + "9" * 50, ""):
        beside.write_text(somebody_elses)
        assert read_det(tmp_path / "predictions.txt", records).images.tolist() == [1, 2]


def test_the_devkits_text_goes_by_the_ids_of_classes_txt_where_it_lies_beside_it(tmp_path):
    """infer.py counts the weights' classes; the data set may have the same ones in another order."""
    file, beside = tmp_path / "predictions.txt", tmp_path / "classes.txt"
    file.write_text("3 1 0.5 1 2 3 4\n3 3 0.4 1 2 3 4\n")
    records = records_of(Classes(("ant", "bee", "cow"), ("x", "y", "x")))
    assert read_det(file, records).labels.tolist() == [0, 2]
    beside.write_text("cow 1\nan eel 2\ny 3\n")  # by ids, then by names that only one has
    found = read_det(file, records)
    assert found.labels.tolist() == [2, 1]
    file.write_text("3 1 0.5 1 2 3 4\n3 2 0.4 1 2 3 4\n")
    with pytest.raises(InputError, match=r"predictions\.txt:2: class 2 is none of the data set's"):
        read_det(file, records)
    for somebody_elses in ("an eel 1\nx 2\n", "cow one\n", "cow " + "9" * 50, "cow\n", ""):
        beside.write_text(somebody_elses)
        assert read_det(file, records).labels.tolist() == [0, 1]
    for half in ("cow 1\nbee x\nant 3\n", "cow 1\nbee 1\n"):
        beside.write_text(half)
        with pytest.raises(InputError, match=r"classes\.txt:2: wanted 'bee' and a number that no other line has"):
            read_det(file, records)
    write_det(tmp_path, found, records, "devkit")
    assert not beside.exists()
    assert read_det(file, records).labels.tolist() == [2, 1]


def test_two_images_of_side_files_that_are_one_of_the_data_sets_are_refused(tmp_path):
    """Of train/a.jpg and val/a.jpg, which infer.py looked at, a set of the latter alone knows only ``a``."""
    records = records_of(names=("c", "a", "b"))
    (tmp_path / "predictions.txt").write_text("1 90 0.5 1 2 3 4\n2 90 0.4 1 2 3 4\n")
    (tmp_path / "images.txt").write_text("train/a 1\nval/a 2\ntest/a 3\n")
    with pytest.raises(InputError, match=r"images\.txt:2: 'val/a' is the same one of the data set's as in line 1"):
        read_det(tmp_path / "predictions.txt", records)
    (tmp_path / "predictions.json").write_text("[]")
    images = [{"id": number, "file_name": f"{folder}/a.jpg"} for number, folder in enumerate(("train", "val"))]
    (tmp_path / "images.json").write_text(json.dumps({"images": images, "categories": []}))
    with pytest.raises(InputError, match=r"images\.json: 2 of its images are 'a\.jpg' of the data set"):
        read_det(tmp_path / "predictions.json", records)
