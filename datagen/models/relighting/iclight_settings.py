"""What IC-Light can be told. Importable without torch, so that a dataset can be planned without it.

Defaults are those of IC-Light's demonstrations (lllyasviel/IC-Light, gradio_demo_bg.py and gradio_demo.py),
except that the light of `fc` comes from the background instead of a chosen side.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from pairbridge.datagen.core.frozen import FrozenModel


class SecondPass(FrozenModel):
    """Repaints the first result at a larger size, starting from part of the noise."""

    scale: float = Field(1.5, gt=1, le=4)
    """Of width and height, rounded to multiples of 64."""
    strength: float = Field(0.5, gt=0, le=1)
    """Share of the noise schedule that is gone through again."""


class DetailTransfer(FrozenModel):
    """Puts the photograph's fine detail back into the relit foreground; see
    `pairbridge.datagen.models.relighting.detail`."""

    method: Literal["add", "ratio"] = "add"
    sigma_px: PositiveFloat = 1.0
    """Of the Gaussian that parts detail from light, in pixels of the pair."""


class IcLightSettings(FrozenModel):
    """What fbc and fc share."""

    base: str = Field("realistic-vision-v51", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Ids in the weights folder; see `pairbridge weights list`."""
    offsets: str = Field("ic-light", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    weights_root: Path | None = Field(None, exclude=True)
    """The folder that holds both; left out: $PAIRBRIDGE_WEIGHTS, else ./weights. A place on a disk is no part
    of what a dataset is, so it is neither recorded nor digested; what lies there is, as the revision."""

    prompt: str = ""
    added_prompt: str = "best quality"
    negative_prompt: str = "lowres, bad anatomy, bad hands, cropped, worst quality"
    resolution: int = Field(576, ge=64, le=1536)
    """Side of the square as large as the first pass, in pixels."""
    second_pass: SecondPass | None = SecondPass()
    beta_schedule: Literal["linear", "scaled_linear"] = "linear"
    """The demonstrations leave diffusers' default in place; Stable Diffusion 1.5 was trained with the other.
    """
    detail: DetailTransfer | None = None

    batch: PositiveInt = 4
    """Images that share a forward pass; pairs of one group alone can."""
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["fp32", "half"] = "fp32"
    """half: float16, the autoencoder bfloat16."""
    loaded: Literal["all", "in_turn"] = Field("all", exclude=True)
    """`in_turn` keeps on the GPU only the model that is at work: for cards below 8 GB. The result is the
    same."""
    cpu_threads: PositiveInt = 1
    """On a CPU the number of threads can change the last bit of a sum, hence is fixed and recorded."""

    @model_validator(mode="after")
    def _half_needs_a_gpu(self) -> "IcLightSettings":
        if self.precision == "half" and self.device == "cpu":
            raise ValueError("precision: half needs device: cuda; a CPU is slower with it, not faster")
        return self


class IcLightFbcConfig(IcLightSettings):
    """Relit for the background: conditioned on the foreground and the background."""

    kind: Literal["iclight_fbc"] = "iclight_fbc"
    steps: PositiveInt = Field(20, le=200)
    guidance: float = Field(7.0, ge=1, le=30)


Light = Literal["background", "left", "right", "top", "bottom", "random_side", "none"]


class IcLightFcConfig(IcLightSettings):
    """Conditioned on the foreground alone; the light comes from the image that denoising starts from."""

    kind: Literal["iclight_fc"] = "iclight_fc"
    steps: PositiveInt = Field(25, le=200)
    guidance: float = Field(2.0, ge=1, le=30)
    light: Light = "background"
    """Where the light comes from: the background's own picture, a slope from white to black with its white on
    the named side (a seeded one for `random_side`), or nothing but noise and the prompt."""
    light_strength: float = Field(0.9, gt=0, le=1)
    """Share of noise over that first image."""


IcLightConfig = IcLightFbcConfig | IcLightFcConfig
