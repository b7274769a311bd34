"""Class accuracy by a small random classifier in the published layout, against transformers' own pipeline."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import pipeline

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.perceptual.image_classifier import ClassifierConfig, ImageClassifier
from tests.support.tiny_classifier import LABELS, write_tiny_classifier


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_classifier(tmp_path_factory.mktemp("weights") / "resnet")


def loaded(folder: Path, **labels: list[str]) -> ImageClassifier:
    config = ClassifierConfig.model_validate({"folder": folder, "read": "assets.object", "labels": labels})
    return ImageClassifier.load(config, torch.device("cpu"))


def pictures() -> list[np.ndarray]:
    """Colours with some noise, wide and large, so that they are resized and cropped."""
    draw = np.random.default_rng(4)
    return [
        np.clip(draw.uniform(0, 255, 3) + draw.normal(0, 4, (240, 320, 3)), 0, 255).astype(np.uint8)
        for _ in range(8)
    ]


def test_it_says_what_transformers_itself_says(folder: Path) -> None:
    theirs = pipeline("image-classification", model=str(folder), device="cpu", top_k=1)
    found = [theirs(Image.fromarray(picture))[0]["label"] for picture in pictures()]
    assert len(set(found)) > 1
    classifier = loaded(folder)
    for label in set(LABELS):
        assert classifier(pictures(), [label] * 8) == [label == one for one in found]


def test_a_class_may_have_labels_of_another_name(folder: Path) -> None:
    classifier = loaded(folder, anything=list(set(LABELS)), ruby=["red, crimson"])
    assert all(classifier(pictures(), ["anything"] * 8))
    assert classifier(pictures(), ["ruby"] * 8) == classifier(pictures(), ["red, crimson"] * 8)
    with pytest.raises(ConfigError, match=r"no label 'toy_car'.*\n.*\n.*classifier\.labels"):
        classifier(pictures()[:1], ["toy_car"])
    with pytest.raises(ConfigError, match="no label 'automobile'"):
        loaded(folder, toy_car=["automobile"])


def test_folders_that_lack_something_or_bring_code_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="classifier folder"):
        loaded(tmp_path)
    without = Path(shutil.copytree(folder, tmp_path / "without"))
    (without / "preprocessor_config.json").unlink()
    with pytest.raises(ConfigError, match="AutoImageProcessor cannot be read"):
        loaded(without)
    with_code = Path(shutil.copytree(folder, tmp_path / "code"))
    config = json.loads((folder / "config.json").read_text())
    own = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}}
    (with_code / "config.json").write_text(json.dumps(config | own))
    (with_code / "mine.py").write_text("raise SystemExit('it ran')\n")
    with pytest.raises(ConfigError, match="classifier folder"):
        loaded(with_code)
