"""The same images and faults in the form of each format: what is planted is what has to be found."""

import json

import cv2
import numpy as np

WIDTH, HEIGHT = 60, 40
WNIDS = ("n01440764", "n01443537")  # of ImageNet and DET's alike
# what is wrong with a box, and its pixels counted from 0, the last one inside
BOXES = {
    "right": (5, 6, 30, 31),
    "outside": (-3, 5, 70, 30),
    "upside-down": (50, 5, 20, 30),
    "small": (7, 5, 7, 30),
    "beyond": (100, 5, 120, 30),
}
KIND = {"right": None, "beyond": "outside"}  # where it is not the name
FIXED = {"right": (5, 6, 31, 32), "outside": (0, 5, 60, 31), "upside-down": (20, 5, 51, 31), "small": (7, 5, 8, 31)}


def image(file, seed, size=(WIDTH, HEIGHT)):
    """A picture that looks like no other, and is a jpeg whatever it is called."""
    file.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    data = cv2.imencode(".jpg", pixels)[1].tobytes()
    file.write_bytes(data)


def images(folder, names, ending=".jpg"):
    """One for each kind of box, and after them a truncated one, one of another size and a png of another name."""
    for number, name in enumerate(names):
        image(folder / f"{name}{ending}", number)
    cut = folder / f"{names[5]}{ending}"
    cut.write_bytes(cut.read_bytes()[:-40])
    image(folder / f"{names[6]}{ending}", 6, size=(HEIGHT, WIDTH))
    pixels = cv2.imread(str(folder / f"{names[7]}{ending}"))
    (folder / f"{names[7]}{ending}").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


NAMES = ("a0", "a1", "a2", "a3", "a4", "cut", "tall", "png")


def xml(objects, first_pixel, size=(WIDTH, HEIGHT)):
    """``objects``: pairs of class and four pixels."""
    text = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    for name, sides in objects:
        x1, y1, x2, y2 = (side + first_pixel if isinstance(side, int) else side for side in sides)
        corners = f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
        text += f"<object><name>{name}</name><pose>left</pose><bndbox>{corners}</bndbox></object>"
    return f"<annotation><source>kept</source>{text}</annotation>"


def objects_of(number, name):
    """The objects of the image of this number: one each, of the truncated and the other images a right one."""
    return [(name, list(BOXES.values())[number] if number < 5 else BOXES["right"])]


def draw_voc(root):
    images(root / "JPEGImages", NAMES)
    image(root / "JPEGImages" / "alone.jpg", 90)
    (root / "Annotations").mkdir()
    for number, name in enumerate(NAMES):
        (root / "Annotations" / f"{name}.xml").write_text(xml(objects_of(number, "cat"), 1))
    (root / "Annotations" / "lost.xml").write_text(xml(objects_of(0, "dog"), 1))
    (root / "Annotations" / "nan.xml").write_text(xml([("cat", (1, 2, "nan", 9)), ("Cat ", BOXES["right"])], 1))
    image(root / "JPEGImages" / "nan.jpg", 91)
    (root / "Annotations" / "torn.xml").write_text("<annotation><object>")
    image(root / "JPEGImages" / "torn.jpg", 92)
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("".join(f"{name}\n" for name in (*NAMES, "lost", "nan", "torn")))
    return f"voc:{root}:all"


def draw_loc(root, split="val"):
    """Val's images, those of one class, the second half of another."""
    folder = root / "Data/CLS-LOC/val"
    images(folder, NAMES, ".JPEG")
    (root / "Annotations/CLS-LOC/val").mkdir(parents=True)
    for number, name in enumerate(NAMES):
        text = xml(objects_of(number, WNIDS[number % 2]), 0)
        (root / "Annotations/CLS-LOC/val" / f"{name}.xml").write_text(text)
    (root / "Annotations/CLS-LOC/val/lost.xml").write_text(xml(objects_of(0, WNIDS[0]), 0))
    image(folder / "odd.JPEG", 95)
    (root / "Annotations/CLS-LOC/val/odd.xml").write_text(xml([("n09999999", BOXES["right"])], 0))
    (root / "ImageSets/CLS-LOC").mkdir(parents=True)
    lines = "".join(f"{name} {number}\n" for number, name in enumerate((*NAMES, "odd"), 1))
    (root / "ImageSets/CLS-LOC/val.txt").write_text(lines)
    return f"ilsvrc-loc:{root}:val"


def draw_csv(root):
    """The same with Kaggle's table in place of the XML files."""
    spec = draw_loc(root)
    rows = ["ImageId,PredictionString"]
    for number, name in enumerate(NAMES):
        ((wnid, sides),) = objects_of(number, WNIDS[number % 2])
        rows.append(f"{name},{wnid} {' '.join(map(str, sides))}")
    rows += [f"odd,n09999999 {' '.join(map(str, BOXES['right']))}", f"lost,{WNIDS[0]} 1 2 3 4"]
    for file in (root / "Annotations/CLS-LOC/val").iterdir():
        file.unlink()
    for folder in ("Annotations/CLS-LOC/val", "Annotations/CLS-LOC", "Annotations"):
        (root / folder).rmdir()
    (root / "LOC_val_solution.csv").write_text("\n".join(rows) + "\n")
    return spec


def draw_det(root):
    images(root / "Data/DET/val", NAMES, ".JPEG")
    (root / "Annotations/DET/val").mkdir(parents=True)
    for number, name in enumerate(NAMES):
        (root / "Annotations/DET/val" / f"{name}.xml").write_text(xml(objects_of(number, "n02672831"), 0))
    (root / "Annotations/DET/val/odd.xml").write_text(xml([("n09999999", BOXES["right"])], 0))
    image(root / "Data/DET/val/odd.JPEG", 95)
    image(root / "Data/DET/val/none.JPEG", 96)  # without XML: an image without objects
    (root / "ImageSets/DET").mkdir(parents=True)
    lines = "".join(f"{name} {number}\n" for number, name in enumerate((*NAMES, "lost", "odd", "none"), 1))
    (root / "ImageSets/DET/val.txt").write_text(lines)
    return f"ilsvrc-det:{root}:val"


def draw_tiny(root):
    folder = root / "val" / "images"
    images(folder, NAMES, ".JPEG")
    image(folder / "alone.JPEG", 90)
    (root / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid in WNIDS))
    (root / "words.txt").write_text("")
    rows = []
    for number, name in enumerate(NAMES):
        ((wnid, sides),) = objects_of(number, WNIDS[number % 2])
        rows.append("\t".join([f"{name}.JPEG", wnid, *map(str, sides)]))
    rows += [
        f"lost.JPEG\t{WNIDS[0]}\t1\t2\t3\t4",
        f"odd.JPEG\tn09999999\t{'	'.join(map(str, BOXES['right']))}",
        "torn 1 2",
    ]
    image(folder / "odd.JPEG", 95)
    (root / "val" / "val_annotations.txt").write_text("\n".join(rows) + "\n")
    return f"tiny-imagenet:{root}:val"


def draw_coco(root):
    images(root / "images", NAMES)
    image(root / "images" / "alone.jpg", 90)
    rows = []
    for number in range(len(NAMES)):
        ((_, (x1, y1, x2, y2)),) = objects_of(number, "")
        x2, y2 = x2 + (x2 >= x1), y2 + (y2 >= y1)
        box = [x1, y1, x2 - x1, y2 - y1]
        if number == 2:
            box = [51, 5, -31, 26]  # from 20 to 51, the width counted backwards
        rows.append({"id": number, "image_id": number, "category_id": 3, "bbox": box, "segmentation": [[1, 2, 3, 4]]})
    right = {"image_id": 0, "category_id": 3, "bbox": [40, 5, 10, 10]}
    rows += [{**right, "id": 20, "image_id": 77}, {**right, "id": 21, "category_id": 9}]
    rows += [{**right, "id": 22, "bbox": [1, 2, None, 4]}, {**right, "id": 23, "bbox": [3, 3, 0, 9]}]
    rows += [{**right, "id": 24, "image_id": 50}]
    listed = [
        {"id": number, "file_name": f"{name}.jpg", "width": WIDTH, "height": HEIGHT, "license": 1}
        for number, name in enumerate(NAMES)
    ]
    listed += [{"id": 50, "file_name": "lost.jpg"}, {"id": 51, "file_name": "../secret.jpg"}]
    content = {"info": "kept", "categories": [{"id": 3, "name": "cat"}], "images": listed, "annotations": rows}
    (root / "a.json").write_text(json.dumps(content))
    return f"coco:{root / 'images'}:{root / 'a.json'}"
