"""What IC-Light can be told. Importable without torch, so that a dataset can be planned without it.

Defaults are those of IC-Light's demonstrations (lllyasviel/IC-Light, gradio_demo_bg.py and gradio_demo.py),
except that the light of `fc` comes from the background instead of a chosen side.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.models.weights.weight_folders import weights_root
from pairbridge.datagen.models.weights.weights_manifest import find_files

_OFFSETS = {"iclight_fbc": "iclight_sd15_fbc.safetensors", "iclight_fc": "iclight_sd15_fc.safetensors"}
BASE_FILES = find_files("stable-diffusion-v1-5")


class SecondPass(FrozenModel):
    """Repaints the first result at a larger size, starting from part of the noise."""

    scale: float = Field(1.5, gt=1, le=4)
    """Factor on width and height, within (1, 4]; sides are rounded to multiples of 64."""
    strength: float = Field(0.5, gt=0, le=1)
    """Fraction of the noise schedule that is run again, within (0, 1]."""


class DetailTransfer(FrozenModel):
    """Puts the photograph's fine detail back into the relit foreground; see
    `pairbridge.datagen.models.relighting.detail`."""

    method: Literal["add", "ratio"] = "add"
    """How detail is put back: added to the relit image, or the photograph is multiplied by the change of
    light."""
    sigma_px: PositiveFloat = 1.0
    """Standard deviation of the Gaussian that separates detail from light, in pixels of the pair."""


class IcLightSettings(FrozenModel):
    """What fbc and fc share."""

    base: str = Field("realistic-vision-v51", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Id of the Stable Diffusion 1.5 model, as `pairbridge weights list` shows it."""
    offsets: str = Field("ic-light", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Id of IC-Light's offsets on the base's weights."""
    weights_root: Path | None = Field(None, exclude=True)
    """Folder that holds both; by default $PAIRBRIDGE_WEIGHTS, else ./weights. A place on a disk is neither
    recorded nor digested; what lies there is recorded, as the revision."""
    prompt: str = ""
    """Text prompt of the result."""
    added_prompt: str = "best quality"
    """Text that is appended to every prompt."""
    negative_prompt: str = "lowres, bad anatomy, bad hands, cropped, worst quality"
    """Text prompt of what is to be avoided."""
    resolution: int = Field(576, ge=64, le=1536)
    """Side of the square with as many pixels as the first pass has, within [64, 1536]."""
    second_pass: SecondPass | None = SecondPass()
    """Second pass at a larger size; null leaves it out."""
    beta_schedule: Literal["linear", "scaled_linear"] = "linear"
    """Noise schedule of the sampler. The demonstrations leave diffusers' default `linear` in place; Stable
    Diffusion 1.5 was trained with the other."""
    detail: DetailTransfer | None = None
    """Transfer of the photograph's fine detail to the result; null leaves it out."""
    batch: PositiveInt = 4
    """Largest number of images in one forward pass; only pairs of one group share one."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the networks run."""
    precision: Literal["fp32", "half"] = "fp32"
    """Number format: with `half` the UNet runs in float16 and the autoencoder in bfloat16, on a GPU alone."""
    loaded: Literal["all", "in_turn"] = Field("all", exclude=True)
    """Which networks stay on the GPU: all, or only the one at work, for cards below 8 GB. The result is the
    same."""
    cpu_threads: PositiveInt = 1
    """CPU threads of torch. Their number can change the last bit of a sum, so it is fixed and recorded."""

    @property
    def base_folder(self) -> Path:
        """Where the base is."""
        return (self.weights_root or weights_root()) / self.base

    @property
    def offsets_file(self) -> Path:
        """The published offsets of this form."""
        return (self.weights_root or weights_root()) / self.offsets / _OFFSETS[self.kind]

    def weight_files(self) -> tuple[Path, ...]:
        """See `NeedsWeights`."""
        return (*(self.base_folder / name for name in BASE_FILES), self.offsets_file)

    @model_validator(mode="after")
    def _half_needs_a_gpu(self) -> "IcLightSettings":
        if self.precision == "half" and self.device == "cpu":
            raise ValueError("precision: half needs device: cuda; a CPU is slower with it, not faster")
        return self


class IcLightFbcConfig(IcLightSettings):
    """Relit for the background: conditioned on the foreground and the background."""

    kind: Literal["iclight_fbc"] = "iclight_fbc"
    """Selects this relighter."""
    steps: PositiveInt = Field(20, le=200)
    """Sampling steps of each pass, at most 200."""
    guidance: float = Field(7.0, ge=1, le=30)
    """Scale of classifier-free guidance, within [1, 30]."""


Light = Literal["background", "left", "right", "top", "bottom", "random_side", "none"]


class IcLightFcConfig(IcLightSettings):
    """Conditioned on the foreground alone; the light comes from the image that denoising starts from."""

    kind: Literal["iclight_fc"] = "iclight_fc"
    """Selects this relighter."""
    steps: PositiveInt = Field(25, le=200)
    """Sampling steps of each pass, at most 200."""
    guidance: float = Field(2.0, ge=1, le=30)
    """Scale of classifier-free guidance, within [1, 30]."""
    light: Light = "background"
    """Image that sampling starts from, which decides the light: the background itself, a gradient that is
    white on the named side (a seeded one for `random_side`), or `none`: noise and the prompt alone."""
    light_strength: float = Field(0.9, gt=0, le=1)
    """Fraction of noise over that first image, within (0, 1]."""


IcLightConfig = IcLightFbcConfig | IcLightFcConfig
