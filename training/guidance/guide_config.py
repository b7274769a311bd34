"""What `pairbridge guide` is told of an edit: pipelines/configs/guidance has an example."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.training.guidance.edit_losses import AnyEditLoss
from pairbridge.training.guidance.guidance_equations import GuidanceConfig


class DiffusionConfig(FrozenModel):
    prompt: str = ""
    """Text prompt that describes the image. Empty: the unconditional model."""
    guidance_scale: float = Field(default=1.0, ge=0)
    """Classifier-free guidance scale of the text prompt. 1: no guidance, which makes the most faithful
    inversion."""
    mask_word: str | None = None
    """Word of the prompt whose cross-attention during the inversion makes the mask of an image that comes
    without one. The mask is written beside the edited image. null: masks are given."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.mask_word is not None and not (self.prompt and self.guidance_scale):
            raise ValueError("mask_word needs a prompt that has it, and a guidance_scale other than 0")
        return self


class GuideConfig(FrozenModel):
    """What `pairbridge guide` is told of an edit."""

    losses: tuple[AnyEditLoss, ...] = Field(min_length=1)
    """Losses whose weighted sum guides, at least one."""
    steps: int = Field(default=4, ge=1)
    """Times at which the network is evaluated, once unguided and once guided. A bridge takes the numbers of
    steps that it was trained for; a diffusion model any, more for a better inversion."""
    guidance: GuidanceConfig = GuidanceConfig()
    """Strength, times and steps of the guidance."""
    balance: PositiveFloat | None = None
    """Proposes the scale of the losses: their weighted sum is multiplied so that at the first guided timestep
    its slope has this many times the root mean square of the structure's, one unit of the latents away. With
    it the weights count relative to each other alone. null: they count as they are."""
    blend: bool = False
    """Whether only the inside of the mask is edited: where it is 0 the unguided estimates are kept at every
    step. Needs a mask."""
    outside_mask: Literal["keep", "guide"] | None = None
    """Pixels outside the mask. keep: those of the image, byte for byte. guide: what comes out. null: as the
    bridge's training says (its outside_mask), keep for a diffusion model."""
    strength: float = Field(default=0.6, gt=0, le=1)
    """How far an image is taken back to noise, in (0, 1], by a diffusion model or a flow from noise. 1: to
    pure noise."""
    diffusion: DiffusionConfig = DiffusionConfig()
    """Settings for a latent diffusion model alone."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.balance is not None and not self.guidance.structure_weight:
            raise ValueError("balance weighs the losses against the structure: structure_weight is 0")
        return self
