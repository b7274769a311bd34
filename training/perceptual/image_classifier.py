"""Does an image classifier recognise what an image shows? Network and preprocessing are those of a local
folder in the layout of transformers.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from pydantic import Field
from torch import nn

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.models.weights.pretrained import load_preprocessor, load_pretrained


class ClassifierConfig(FrozenModel):
    folder: Path
    """Folder of an image classifier in the layout of transformers: config.json with its labels,
    model.safetensors, preprocessor_config.json."""
    read: str
    """Place of a sample's class in its meta.json, as of a class condition: `assets.<role>`,
    `params.<key>...` or `<key>`."""
    labels: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Labels of the classifier that are right for a class, where none has its name, such as
    {toy_car: ["sports car, sport car", "convertible"]}."""


class ImageClassifier:
    def __init__(self, network: nn.Module, prepare: Callable[..., Any], config: ClassifierConfig) -> None:
        """`network`: of transformers' for image classification; `prepare`: its image processor. Raises
        ConfigError for `labels` that it does not have.
        """
        self.config = config
        self._network = network
        self._prepare = prepare
        self._numbers: dict[str, set[int]] = {}
        for number, label in network.config.id2label.items():
            # Two of ImageNet's classes are called crane.
            self._numbers.setdefault(label, set()).add(number)
        for label in (label for labels in config.labels.values() for label in labels):
            if label not in self._numbers:
                raise self._unknown(label)

    @classmethod
    def load(cls, config: ClassifierConfig, device: torch.device) -> Self:
        """Raises ConfigError for a folder that does not hold one."""
        # Here: takes a second, for whoever names a folder alone.
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        # A folder that brings code of its own is refused, not asked about.
        options = {"trust_remote_code": False}
        network = load_pretrained(AutoModelForImageClassification, config.folder, _unusable, **options)
        prepare = load_preprocessor(AutoImageProcessor, config.folder, _unusable, **options)
        return cls(network.float().to(device), prepare, config)

    @torch.no_grad()
    def __call__(self, images: Sequence[np.ndarray], classes: Sequence[str]) -> list[bool]:
        """Whether the likeliest label of each image, uint8 sRGB (H, W, 3), is one of its class. Raises
        ConfigError for a class that no label is known of.
        """
        right = [self._labels_of(name) for name in classes]
        prepared = self._prepare(images=list(images), input_data_format="channels_last", return_tensors="pt")
        device = next(self._network.parameters()).device
        logits = self._network(pixel_values=prepared["pixel_values"].to(device)).logits
        return [
            int(number) in numbers for number, numbers in zip(logits.argmax(dim=1).cpu(), right, strict=True)
        ]

    def _labels_of(self, name: str) -> set[int]:
        labels = self.config.labels.get(name, (name,))
        if name not in self._numbers and name not in self.config.labels:
            raise self._unknown(name)
        return set().union(*(self._numbers[label] for label in labels))

    def _unknown(self, label: str) -> ConfigError:
        known = ", ".join(list(self._numbers)[:5])
        return ConfigError(
            f"the classifier {self.config.folder} has no label {label!r}; its labels begin with {known}",
            consequence="nobody could say whether it recognises that class",
            remedy="name labels that its config.json lists: classifier.labels: {CLASS: [LABEL]}",
        )


def _unusable(folder: Path, why: str) -> ConfigError:
    return ConfigError(
        f"classifier folder {folder}: {why}",
        consequence="class accuracy cannot be computed; nothing is fetched from the network",
        remedy="name a folder with config.json, model.safetensors and preprocessor_config.json, as"
        " `hf download microsoft/resnet-50` leaves it",
    )
