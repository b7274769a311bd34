"""FID, local FID, SFID, CSFID and inception score of every method, gathered batch by batch."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import torch

from pairbridge.training.perceptual.frechet import (
    ClassMeans,
    FeatureMoments,
    class_mean_distance,
    frechet_distance,
    local_crop,
    mean_distance,
)
from pairbridge.training.perceptual.inception import (
    InceptionV3,
    inception_features,
    inception_logits,
    load_inception,
)
from pairbridge.training.perceptual.inception_score import ClassProbabilities

_TARGET = ""


class Compared(Protocol):
    """What outputs are compared with; mask: uint8 (H, W), read where distances are local."""

    @property
    def target(self) -> np.ndarray: ...

    @property
    def mask(self) -> np.ndarray | None: ...


@dataclass(slots=True)
class SetFigures:
    """`local`: also compare crops around the masks."""

    network: InceptionV3
    local: bool
    _whole: dict[str, FeatureMoments] = field(default_factory=lambda: defaultdict(FeatureMoments))
    _crops: dict[str, FeatureMoments] = field(default_factory=lambda: defaultdict(FeatureMoments))
    _of_classes: dict[str, ClassMeans] = field(default_factory=lambda: defaultdict(ClassMeans))
    _recognised: dict[str, ClassProbabilities] = field(
        default_factory=lambda: defaultdict(ClassProbabilities)
    )

    @classmethod
    def load(cls, weights: Path, *, local: bool, device: torch.device) -> Self:
        """Raises ConfigError for a file that does not hold the network."""
        return cls(load_inception(weights).to(device), local)

    def add(
        self,
        method: str,
        outputs: Sequence[np.ndarray],
        pairs: Sequence[Compared],
        classes: Sequence[Hashable] = (),
    ) -> None:
        """One batch of one method, of which `model` brings the targets in. classes: of each target, where
        there are any.
        """
        self._gather(method, outputs, pairs, classes)
        if method == "model":
            self._gather(_TARGET, [pair.target for pair in pairs], pairs, classes)

    def figures(self) -> dict[str, dict[str, float]]:
        """Method -> {"fid": ..., "sfid": ..., "inception_score": ..., with masks "local_fid": ..., with
        classes "csfid": ...}; empty below two pairs.
        """
        if self._whole[_TARGET].count < 2:
            return {}
        found = {}
        for method in self._whole:
            if method == _TARGET:
                continue
            figures = {
                "fid": frechet_distance(self._whole[method], self._whole[_TARGET]),
                "sfid": mean_distance(self._whole[method], self._whole[_TARGET]),
            }
            if self.local:
                figures["local_fid"] = frechet_distance(self._crops[method], self._crops[_TARGET])
            if method in self._of_classes:
                figures["csfid"] = class_mean_distance(self._of_classes[method], self._of_classes[_TARGET])
            figures["inception_score"] = self._recognised[method].score
            found[method] = figures
        return found

    def _gather(
        self,
        name: str,
        images: Sequence[np.ndarray],
        pairs: Sequence[Compared],
        classes: Sequence[Hashable],
    ) -> None:
        features = inception_features(self.network, np.stack(images))
        self._whole[name].add(features)
        self._recognised[name].add(inception_logits(self.network, features))
        if classes:
            self._of_classes[name].add(features, classes)
        if self.local:
            crops = [local_crop(image, pair.mask) for image, pair in zip(images, pairs, strict=True)]
            self._crops[name].add(inception_features(self.network, np.stack(crops)))
