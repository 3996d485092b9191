"""Packaging; the settings of the tools live in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "resdet" / "__init__.py").read_text(), re.MULTILINE)
README = HERE / "README.md"

setup(
    name="resdet",
    version=VERSION[1],
    description="Classification, localization and detection after 'Deep Residual Learning for Image Recognition'",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["resdet", "resdet.*"]),
    package_data={"resdet": ["py.typed"], "resdet.data.lists": ["*.txt"]},
    install_requires=[
        "torch>=2.11",
        "torchvision",
        "numpy",
        "Pillow",
        # Headless, and only that: opencv-python unpacks into the same cv2/ folder, so with both installed the last
        # one wins, and it wants GUI libraries (libGL) that servers and containers lack.  albumentations asks for
        # the headless one too.
        "opencv-python-headless>=4.11",
        # The last MIT release, pinned: its successor goes by another name (albumentationsx) and is AGPL.
        "albumentations==2.0.8",
        "pycocotools",
        "PyYAML",
        "defusedxml",
        "safetensors",
        "tensorboard",
        "tqdm",
    ],
    extras_require={
        "fast": ["faster-coco-eval"],  # eval_det.py --coco-backend
        "onnx": ["onnx", "onnxscript"],  # export.py
        "dev": ["faster-coco-eval", "hypothesis", "mypy", "onnx", "onnxruntime", "onnxscript", "pytest", "ruff"],
    },
)
