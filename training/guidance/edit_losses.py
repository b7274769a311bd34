"""The losses of guided edits by name, each a differentiable number per sample.

    colour_statistics     mean and spread of L, a, b in a region against a reference's
    colour_distribution   sliced Wasserstein distance of the region's colours to the reference's
    keep                  squared distance to the source, or to the unguided output, in a region
    range                 squared excess over what a pixel can show
    clip, dino            distances in the features of a network from a local folder (edit_networks.py)
    own                   a class of yours

Colours are compared in CIELAB over 100: a squared distance of 0.0001 is one unit, just visible. Every loss is
a mean over what it looks at, so that weights do not depend on an image's size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Protocol

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.user_code import UserCode
from pairbridge.training.data.tensors import image_tensor, mask_tensor
from pairbridge.training.guidance.edit_networks import ClipConfig, ClipLoss, DinoConfig, DinoLoss
from pairbridge.training.guidance.edit_scene import EditLossConfig, Region, Scene
from pairbridge.training.perceptual.lab import to_lab


class EditTerm(Protocol):
    """One loss. images (B, 3, H, W), nominally in [-1, 1], of the scene's size -> (B,); a sample's number
    may not depend on the rest of its batch.
    """

    def __call__(self, images: Tensor, scene: Scene) -> Tensor: ...


class Files(Protocol):
    """How references are read."""

    def image(self, path: Path) -> np.ndarray:
        """uint8 (H, W, 3)."""

    def mask(self, path: Path) -> np.ndarray:
        """uint8 (H, W)."""


class _ColourConfig(EditLossConfig):
    region: Region = Region.ALL
    """Region of the edited image whose colours are compared."""
    reference: Path
    """Image file with the wanted colours."""
    reference_mask: Path | None = None
    """Mask file of the reference, white where its colours count. null: all of it."""


class ColourStatisticsConfig(_ColourConfig):
    kind: Literal["colour_statistics"] = "colour_statistics"
    """Selects this variant."""


class ColourDistributionConfig(_ColourConfig):
    kind: Literal["colour_distribution"] = "colour_distribution"
    """Selects this variant."""
    directions: int = Field(default=12, ge=3)
    """Directions in colour space along which distributions are compared, at least 3: L, a, b, then seeded
    ones."""
    quantiles: int = Field(default=32, ge=2)
    """Quantiles that are compared along each direction, at least 2."""


class KeepConfig(EditLossConfig):
    kind: Literal["keep"] = "keep"
    """Selects this variant."""
    region: Region = Region.BACKGROUND
    """Region that is to stay as it is."""
    like: Literal["source", "unguided"] = "source"
    """Image that the region is compared with: the source, or the model's unguided output."""


class RangeConfig(EditLossConfig):
    kind: Literal["range"] = "range"
    """Selects this variant."""


class OwnEditLoss(UserCode, EditLossConfig):
    """A class of the user's own: an `EditTerm`, made from its settings."""

    named_by: ClassVar[str] = "loss"
    group: ClassVar[str] = "pairbridge.edit_losses"
    method: ClassVar[str] = "__call__"

    kind: Literal["own"] = "own"
    """Selects this variant."""
    loss: str
    """The loss's class: path/to/file.py:Class, or the name of an entry point."""


AnyEditLoss = Annotated[
    ColourStatisticsConfig
    | ColourDistributionConfig
    | KeepConfig
    | RangeConfig
    | ClipConfig
    | DinoConfig
    | OwnEditLoss,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, slots=True)
class WeightedTerm:
    """`label` is the loss's kind, numbered where a config has it twice."""

    label: str
    weight: NonNegativeFloat
    term: EditTerm


def build_terms(
    configs: Sequence[AnyEditLoss], files: Files, device: torch.device
) -> tuple[WeightedTerm, ...]:
    """The losses of a config, their references and networks read. Raises ConfigError, or what `files` raises
    for a reference that cannot be read.
    """
    kinds = [config.kind for config in configs]
    labels = [
        kind if kinds.count(kind) == 1 else f"{kind}_{kinds[: place + 1].count(kind)}"
        for place, kind in enumerate(kinds)
    ]
    return tuple(
        WeightedTerm(label, config.weight, _build(config, files, device))
        for label, config in zip(labels, configs, strict=True)
    )


class ColourStatisticsLoss:
    """Mean over the channels of the squared differences of weighted mean and standard deviation."""

    def __init__(self, region: Region, reference: Tensor, reference_mask: Tensor) -> None:
        """reference: (1, 3, H, W) in [-1, 1]; its mask (1, 1, H, W), not empty."""
        self.region = region
        self.wanted = _statistics(reference, reference_mask)

    def __call__(self, images: Tensor, scene: Scene) -> Tensor:
        found = _statistics(images, scene.weights(self.region))
        return (found - self.wanted).square().mean(dim=1)


class ColourDistributionLoss:
    """Mean squared difference of quantiles along several directions: 1-D Wasserstein distances, averaged."""

    def __init__(
        self, region: Region, reference: Tensor, reference_mask: Tensor, directions: int, quantiles: int
    ) -> None:
        self.region = region
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randn(directions - 3, 3, generator=generator)
        along = torch.cat([torch.eye(3), drawn / drawn.norm(dim=1, keepdim=True)])
        self.along = along.to(reference.device)
        self.levels = (torch.arange(quantiles, device=reference.device) + 0.5) / quantiles
        self.wanted = self._quantiles(reference, reference_mask)

    def __call__(self, images: Tensor, scene: Scene) -> Tensor:
        found = self._quantiles(images, scene.weights(self.region))
        return (found - self.wanted).square().mean(dim=(1, 2))

    def _quantiles(self, images: Tensor, weights: Tensor) -> Tensor:
        """(B, directions, quantiles) of the weighted colours."""
        values = torch.einsum("kc,bcn->bkn", self.along, to_lab(images).flatten(2))
        spread = weights.flatten(2).expand_as(values)
        # Pixels without weight go to the upper end, as constants, where no quantile is taken between them.
        highest = values.masked_fill(spread == 0, -torch.inf).amax(dim=2, keepdim=True).detach()
        ordered, order = torch.where(spread > 0, values, highest).sort(dim=2)
        weight = spread.gather(2, order)
        # A pixel stands at the middle of its weight.
        places = (weight.cumsum(dim=2) - weight / 2) / weight.sum(dim=2, keepdim=True)
        levels = self.levels.expand(*places.shape[:2], -1).contiguous()
        above = torch.searchsorted(places, levels).clamp(1, places.shape[2] - 1)
        low, high = places.gather(2, above - 1), places.gather(2, above)
        share = ((levels - low) / (high - low).clamp(min=1e-9)).clamp(0, 1)
        return torch.lerp(ordered.gather(2, above - 1), ordered.gather(2, above), share)


class KeepLoss:
    def __init__(self, region: Region, like: str) -> None:
        self.region, self.like = region, like

    def __call__(self, images: Tensor, scene: Scene) -> Tensor:
        kept = scene.source if self.like == "source" else scene.unguided
        weights = scene.weights(self.region)
        error = (images - kept).square().mean(dim=1, keepdim=True)
        return (weights * error).sum(dim=(1, 2, 3)) / weights.sum(dim=(1, 2, 3))


def out_of_range(images: Tensor, scene: Scene) -> Tensor:
    """Mean squared distance to [-1, 1]."""
    return (images - images.clamp(-1, 1)).square().mean(dim=(1, 2, 3))


def _build(config: AnyEditLoss, files: Files, device: torch.device) -> EditTerm:
    if isinstance(config, ColourStatisticsConfig):
        return ColourStatisticsLoss(config.region, *_reference(config, files, device))
    if isinstance(config, ColourDistributionConfig):
        reference = _reference(config, files, device)
        return ColourDistributionLoss(config.region, *reference, config.directions, config.quantiles)
    if isinstance(config, KeepConfig):
        return KeepLoss(config.region, config.like)
    if isinstance(config, RangeConfig):
        return out_of_range
    if isinstance(config, ClipConfig):
        return ClipLoss.load(config, device)
    if isinstance(config, DinoConfig):
        reference = None if config.reference is None else _image(config.reference, files, device)
        return DinoLoss.load(config, reference, device)
    return config.make()


def _reference(config: _ColourConfig, files: Files, device: torch.device) -> tuple[Tensor, Tensor]:
    image = _image(config.reference, files, device)
    if config.reference_mask is None:
        return image, torch.ones_like(image[:, :1])
    mask = files.mask(config.reference_mask)
    if mask.shape != tuple(image.shape[-2:]) or not mask.any():
        raise ConfigError(
            f"{config.reference_mask} is {'empty' if not mask.any() else 'of another size than its image'}",
            consequence="there are no colours to aim for",
            remedy="give a mask of the reference's size, white where its colours count",
        )
    return image, mask_tensor(mask[None]).to(device)


def _image(path: Path, files: Files, device: torch.device) -> Tensor:
    return image_tensor([files.image(path)]).to(device)


def _statistics(images: Tensor, weights: Tensor) -> Tensor:
    """(B, 6): weighted means, then standard deviations, of L, a and b."""
    lab = to_lab(images)
    share = weights / weights.sum(dim=(2, 3), keepdim=True)
    mean = (share * lab).sum(dim=(2, 3))
    variance = (share * (lab - mean[..., None, None]).square()).sum(dim=(2, 3))
    # The root's slope at 0, a region of one colour, has no bound.
    return torch.cat([mean, (variance + 1e-8).sqrt()], dim=1)
