"""What `pairbridge guide` is told of an edit: pipelines/configs/guidance has an example."""

from typing import Literal

from pydantic import Field

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.training.guidance.edit_losses import AnyEditLoss
from pairbridge.training.guidance.guidance_equations import GuidanceConfig


class DiffusionConfig(FrozenModel):
    prompt: str = ""
    """What the image shows; the empty prompt is the model's own guess."""
    guidance_scale: float = Field(default=1.0, ge=0)
    """Classifier-free guidance on the noise; 1 is none, under which an inversion comes back best."""


class GuideConfig(FrozenModel):
    """What `pairbridge guide` is told of an edit."""

    losses: tuple[AnyEditLoss, ...] = Field(min_length=1)
    """What is wanted; gradients of their weighted sum guide."""
    steps: int = Field(default=4, ge=1)
    """Times at which the network is evaluated, twice each: once unguided, once guided. A trained bridge takes
    the step counts that it was trained for; a diffusion model any, more for a better inversion."""
    guidance: GuidanceConfig = GuidanceConfig()
    """How strongly, where along the path, by which steps (pairbridge.training.guidance.guidance_equations).
    """
    blend: bool = False
    """Where the mask is 0, the stored estimates stand in for guided ones, so that only the inside is edited;
    between, both are mixed. Needs a mask."""
    outside_mask: Literal["keep", "guide"] | None = None
    """keep: pixels of mask 0 are the image's, byte for byte. guide: they are what comes out. null: as the
    bridge's training says (its outside_mask), keep for a diffusion model."""
    strength: float = Field(default=0.6, gt=0, le=1)
    """Of a flow from noise and of a diffusion model: how far back the image is taken, 1 to pure noise."""
    diffusion: DiffusionConfig = DiffusionConfig()
    """Of a diffusion model alone."""
