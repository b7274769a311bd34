"""What a tracker is told of a training."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np


class Tracker(Protocol):
    """Told in the order of the steps; of a step, the figures before the pictures."""

    def start(self, config: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Before all else. `config`: the training's; `facts`: what else its result depends on. JSON-able."""

    def figures(self, step: int, numbers: Mapping[str, float]) -> None:
        """Metrics after `step` steps by name, in which `/` separates a group from its member."""

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """`image`: HWC, uint8, sRGB."""

    def close(self) -> None:
        """Nothing that was told is lost from here on."""
