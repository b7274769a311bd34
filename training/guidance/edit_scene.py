"""What an edit's losses know beside the image they judge: its source, its unguided version, its mask."""

from dataclasses import dataclass
from enum import StrEnum

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel


class Region(StrEnum):
    """Where a loss looks; foreground is where the mask is white."""

    ALL = "all"
    FOREGROUND = "foreground"
    BACKGROUND = "background"


class EditLossConfig(FrozenModel):
    """Keys of every loss."""

    weight: NonNegativeFloat = 1.0
    """The loss counts this many times in the sum."""


@dataclass(frozen=True, slots=True)
class Scene:
    """source, unguided: (B, 3, H, W) in [-1, 1]. mask: (B, 1, H, W) in [0, 1], or None."""

    source: Tensor
    unguided: Tensor
    mask: Tensor | None

    def weights(self, region: Region | str) -> Tensor:
        """(B, 1, H, W): how much of a pixel belongs to the region. Raises ConfigError where none does."""
        if region == Region.ALL:
            return torch.ones_like(self.source[:, :1])
        if self.mask is None:
            raise ConfigError(
                f"a loss looks at the {region}, and the image came without a mask",
                consequence="it is not known where that is",
                remedy="pass --mask, white on the foreground, or set the loss's region to all",
            )
        weights = self.mask if region == Region.FOREGROUND else 1 - self.mask
        if bool((weights.sum(dim=(1, 2, 3)) == 0).any()):
            raise ConfigError(
                f"a loss looks at the {region}, and the mask has none",
                consequence="an empty region has no colour to guide by",
                remedy="look at the mask: white is foreground, black is background",
            )
        return weights
