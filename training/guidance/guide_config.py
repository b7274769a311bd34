"""What `pairbridge guide` is told of an edit: pipelines/configs/guidance has an example."""

from typing import Literal

from pydantic import Field

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.training.guidance.edit_losses import EditLossConfig
from pairbridge.training.guidance.guidance_equations import GuidanceConfig


class DiffusionConfig(FrozenModel):
    # What the image shows; the empty prompt is the model's own guess.
    prompt: str = ""
    # Classifier-free guidance on the noise; 1 is none, under which an inversion comes back best.
    guidance_scale: float = Field(default=1.0, ge=0)


class GuideConfig(FrozenModel):
    """What `pairbridge guide` is told of an edit."""

    # What is wanted; gradients of their weighted sum guide.
    losses: tuple[EditLossConfig, ...] = Field(min_length=1)
    # Times at which the network is evaluated, twice each: once unguided, once guided. A trained bridge takes
    # the step counts that it was trained for; a diffusion model any, more for a better inversion.
    steps: int = Field(default=4, ge=1)
    # How strongly, where along the path, by which steps (pairbridge.training.guidance.guidance_equations).
    guidance: GuidanceConfig = GuidanceConfig()
    # Where the mask is 0, the stored estimates stand in for guided ones, so that only the inside is edited;
    # between, both are mixed. Needs a mask.
    blend: bool = False
    # keep: pixels of mask 0 are the image's, byte for byte. guide: they are what comes out. null: as the
    # bridge's training says (its outside_mask), keep for a diffusion model.
    outside_mask: Literal["keep", "guide"] | None = None
    # Of a flow from noise and of a diffusion model: how far back the image is taken, 1 to pure noise.
    strength: float = Field(default=0.6, gt=0, le=1)
    # Of a diffusion model alone.
    diffusion: DiffusionConfig = DiffusionConfig()
