"""Figures of single images by networks whose weights come from local files: LPIPS, context deviation and
class accuracy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.training.data.condition_specs import class_in
from pairbridge.training.data.tensors import image_tensor
from pairbridge.training.engine.torch_devices import to_device
from pairbridge.training.evaluation.set_figures import Compared
from pairbridge.training.perceptual.context_deviation import ContextDeviation
from pairbridge.training.perceptual.image_classifier import ImageClassifier
from pairbridge.training.perceptual.lpips import Lpips


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedFigures:
    """None: there are no weights for it. What is compared has a `meta` where there is a classifier."""

    lpips: Lpips | None = None
    context: ContextDeviation | None = None
    classifier: ImageClassifier | None = None

    @torch.no_grad()
    def __call__(self, outputs: Sequence[np.ndarray], pairs: Sequence[Compared]) -> list[dict[str, float]]:
        """Figures by name, of each output."""
        columns: dict[str, Sequence[float]] = {}
        if self.lpips:
            # Of whole images, without resizing.
            shown = (image_tensor(images) for images in (outputs, [pair.target for pair in pairs]))
            device = self.lpips.shift.device
            columns["lpips"] = self.lpips(*(to_device(images, device) for images in shown)).tolist()
        if self.context:
            columns["context_deviation"] = self.context(outputs, [pair.mask for pair in pairs])
        if self.classifier:
            classes = [_class_of(pair.meta, self.classifier.config.read) for pair in pairs]
            columns["class_accuracy"] = [float(right) for right in self.classifier(outputs, classes)]
        return [{name: column[place] for name, column in columns.items()} for place in range(len(outputs))]


def _class_of(meta: dict[str, Any], place: str) -> str:
    try:
        return class_in(meta, place)
    except (ShardError, KeyError, TypeError) as error:
        raise ConfigError(
            f"nothing is at {place!r} of a sample's meta.json ({type(error).__name__}: {error})",
            consequence="its class is not known, and whether it is recognised neither",
            remedy="name another place in the evaluation's classifier.read: `pairbridge inspect` shows them",
        ) from error
