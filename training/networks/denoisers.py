"""The network v(x_t, t, conditions): a small UNet, SDXL's, a transformer, or the user's own.

The output of all but the last starts at zero. With a zero field the target estimate is x_t itself, so that
training starts from "output = input", the right place for translation: whatever a pair leaves unchanged costs
nothing to learn. Time enters as 1000 t, with t = 0 the source and t = 1 the target (unlike in the reference
code of LBM, not reversed).
"""

import math
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Protocol, Self

import torch
import torch.nn.functional as F
from diffusers import UNet2DModel
from pydantic import Discriminator, Field, Tag, model_validator
from torch import Tensor, nn

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.user_code import UserCode
from pairbridge.training.data.condition_specs import ConditionConfig, Conditions
from pairbridge.training.networks.backbones import Backbone, evaluate
from pairbridge.training.networks.base_weights import Surgery
from pairbridge.training.networks.latent_transformers import DiTConfig, FluxConfig, SD3Config
from pairbridge.training.networks.latent_unet import LatentUNetConfig

COLOURS = 3
# From a fiftieth to four times, of values as pictures encode them: far beyond what light does to a thing.
_LOG_GAINS = (-4.0, 1.4)


class Head(StrEnum):
    """What the network's output means.

    add: v itself. gain: v = f + g (x_t - black), with f and one g per colour from the network. Light
    multiplies: a patch that gets brighter keeps its texture, which a sum has to predict band by band, and
    small errors of single bands show as a grid. gate: the same with one g for each pixel of the image. Where
    the target owes nothing to the source (a hole full of noise, a depth map) g = -1 takes it away, which a
    sum would have to predict value by value; and a shadow's edge is finer than a latent cell. estimate: v =
    (f - x_t) / (1 - t), f the target. What a flow starts from, noise, then passes by the network, which
    need not be as wide as the latent is; but output = input is no longer where training starts. light: v =
    (e^g - 1) (x_t - black), one g per colour and latent cell, bilinear between the cells' middles, and
    nothing added. A network that may add learns to add the colour that things mostly have, and hazes what it
    has never seen; one that multiplies alone keeps every hue and texture, and draws no highlights.
    """

    ADD = "add"
    GAIN = "gain"
    GATE = "gate"
    ESTIMATE = "estimate"
    LIGHT = "light"

    @property
    def multiplies(self) -> bool:
        """Whether what the image shows is multiplied, in latents that are linear in it."""
        return self in (Head.GAIN, Head.GATE, Head.LIGHT)


class UNetConfig(FrozenModel):
    """A UNet of any size."""

    component: ClassVar[str] = "unet"
    surgery: ClassVar[Surgery] = Surgery()

    kind: Literal["unet"] = "unet"
    """Selects this variant."""
    base: Path | None = None
    """Folder `unet` of a published model of the same keys, whose weights training starts from. null: random
    weights."""
    widths: tuple[int, ...] = (32, 48, 64, 64)
    """Channels per level, from full latent resolution down. Each further level halves the sides."""
    layers_per_block: int = Field(default=1, ge=1)
    """Residual blocks per level."""
    attention_levels: tuple[int, ...] = ()
    """Levels with self-attention, counted from 0 at full resolution; the middle block always has one."""
    head_width: int = Field(default=16, ge=1)
    """Channels per attention head. Every width is a multiple of it."""
    norm_groups: int = Field(default=8, ge=1)
    """Groups of the group normalisation. Every width is a multiple of it."""
    head: Head = Head.ADD
    """Prediction type: what the output means. `add`: the field itself. `gain` and `gate`: an offset and a
    factor on the image, which needs latents that are linear in it (Haar); `light`: a smooth factor alone.
    `estimate`: the target."""
    conditions: Conditions = (ConditionConfig(field="mask"),)
    """Conditions, concatenated to x_t along channels."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        uneven = [width for width in self.widths if width % self.norm_groups or width % self.head_width]
        if not self.widths or uneven:
            raise ValueError(f"widths {uneven or '[]'} must be multiples of norm_groups and of head_width")
        if any(not 0 <= level < len(self.widths) for level in self.attention_levels):
            raise ValueError(f"attention_levels {self.attention_levels} outside 0..{len(self.widths) - 1}")
        return self

    @property
    def side_multiple(self) -> int:
        """Latent sides must be multiples of this."""
        return 2 ** (len(self.widths) - 1)

    def build(self, *, in_channels: int, out_channels: int) -> UNet2DModel:
        levels = range(len(self.widths))
        unet = UNet2DModel(
            in_channels=in_channels,
            out_channels=out_channels,
            block_out_channels=self.widths,
            layers_per_block=self.layers_per_block,
            down_block_types=tuple(_block("Down", level, self) for level in levels),
            up_block_types=tuple(_block("Up", level, self) for level in reversed(levels)),
            attention_head_dim=self.head_width,
            norm_num_groups=self.norm_groups,
            # Time scales features as well as shifting them (FiLM).
            resnet_time_scale_shift="scale_shift",
        )
        nn.init.zeros_(unet.conv_out.weight)
        nn.init.zeros_(unet.conv_out.bias)
        return unet


class Network(Protocol):
    """A network of the user's own: a torch.nn.Module, made as `Class(channels_in, channels_out, **settings)`.

    It does well to begin with an output of zeros, which is "output = input". It has parameters alone: a
    checkpoint and the average keep no buffers, such as those of BatchNorm. A class attribute `side_multiple`
    says what the sides h and w have to be multiples of; without one any will do.
    """

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """v (B, channels_out, h, w) from x_t and the conditions, in the config's order, along the channels of
        x (B, channels_in, h, w); t (B,) in [0, 1], 0 at the source.
        """


class OwnNetworkConfig(UserCode):
    """A class of the user's own: a `Network`, made from its settings."""

    named_by: ClassVar[str] = "network"
    group: ClassVar[str] = "pairbridge.networks"
    method: ClassVar[str] = "forward"
    component: ClassVar[str] = "network"
    base: ClassVar[None] = None

    kind: Literal["own"] = "own"
    """Selects this variant."""
    network: str
    """The network's class: path/to/file.py:Class, or the name of an entry point."""
    conditions: Conditions = (ConditionConfig(field="mask"),)
    """Conditions, concatenated to x_t along channels."""

    @property
    def side_multiple(self) -> int:
        """Latent sides must be multiples of this."""
        return getattr(self.load(), "side_multiple", 1)


def _kind_of(value: object) -> str:
    """A small UNet where a config says nothing else."""
    return value.get("kind", "unet") if isinstance(value, dict) else getattr(value, "kind", "unet")


# Networks of diffusers' own, which published weights fit.
BackboneConfig = UNetConfig | LatentUNetConfig | DiTConfig | SD3Config | FluxConfig

DenoiserConfig = Annotated[
    Annotated[UNetConfig, Tag("unet")]
    | Annotated[LatentUNetConfig, Tag("latent_unet")]
    | Annotated[DiTConfig, Tag("dit")]
    | Annotated[SD3Config, Tag("sd3")]
    | Annotated[FluxConfig, Tag("flux")]
    | Annotated[OwnNetworkConfig, Tag("own")],
    Discriminator(_kind_of),
]


class Denoiser(nn.Module):
    """v = denoiser(x_t, t, conditions), all on one device; x_t (B, C, h, w), t (B,), v like x_t."""

    def __init__(
        self,
        config: DenoiserConfig,
        *,
        latent_channels: int,
        mask_channels: int,
        black: Tensor | None = None,
        bands: Tensor | None = None,
    ) -> None:
        """For heads that multiply: `black`, the latent of a black image, (latent_channels, 1, 1), ordered
        by colour; `bands`, the orthonormal matrix (pixels of a cell, pixels of a cell) that makes a colour's
        latents of its pixels.
        """
        super().__init__()
        self.config = config
        self.head = config.head if isinstance(config, UNetConfig) else Head.ADD
        in_channels = latent_channels + sum(
            condition.width(latent_channels=latent_channels, mask_channels=mask_channels)
            for condition in config.conditions
        )
        if isinstance(config, OwnNetworkConfig):
            network = _own_network(config, in_channels, latent_channels)
        elif isinstance(config, UNetConfig):
            out_channels = {
                Head.GAIN: latent_channels + COLOURS,
                Head.GATE: latent_channels + latent_channels // COLOURS,
                Head.LIGHT: COLOURS,
            }.get(self.head, latent_channels)
            network = config.build(in_channels=in_channels, out_channels=out_channels)
        else:
            network = config.build(in_channels=in_channels, out_channels=latent_channels)
        # Checkpoints name weights by it, and published folders the network itself.
        self.add_module(config.component, network)
        self.register_buffer("black", black, persistent=False)
        self.register_buffer("bands", bands, persistent=False)

    def forward(self, x_t: Tensor, t: Tensor, conditions: dict[str, Tensor]) -> Tensor:
        beside = (conditions[condition.field] for condition in self.config.conditions)
        inputs = torch.cat([x_t, *beside], dim=1)
        if isinstance(self.config, OwnNetworkConfig):
            return self.backbone(inputs, t)
        output = evaluate(self.backbone, inputs, t)
        return field_of(self.head, output, x_t, t, self.black, self.bands)

    @property
    def backbone(self) -> Backbone | nn.Module:
        """The network alone: diffusers', or the user's."""
        return self.get_submodule(self.config.component)

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """`weights` of all parameters that are trained, by name; buffers are constants. Raises KeyError."""
        own = {name: weight for name, weight in self.named_parameters() if weight.requires_grad}
        if own.keys() != weights.keys():
            raise KeyError(min(own.keys() ^ weights.keys()))
        self.load_state_dict(weights, strict=False)


def field_of(
    head: Head, output: Tensor, x_t: Tensor, t: Tensor, black: Tensor | None, bands: Tensor | None
) -> Tensor:
    """v from a network's output, see Head; `black` and `bands` as `Denoiser` has them."""
    if head is Head.ADD:
        return output
    if head is Head.ESTIMATE:
        return (output - x_t) / (1 - t).view(-1, 1, 1, 1)
    light = (x_t - black).unflatten(1, (COLOURS, -1))
    if head is Head.LIGHT:
        pixels = torch.einsum("kp,bckhw->bcphw", bands, light)
        factors = _smooth_factors(output, math.isqrt(len(bands)))
        return torch.einsum("kp,bcphw->bckhw", bands, factors * pixels).flatten(1, 2)
    offset, gains = output[:, : x_t.shape[1]], output[:, x_t.shape[1] :]
    if head is Head.GAIN:
        return offset + (gains[:, :, None] * light).flatten(1, 2)
    pixels = torch.einsum("kp,bckhw->bcphw", bands, light)
    gated = torch.einsum("kp,bcphw->bckhw", bands, gains[:, None] * pixels)
    return offset + gated.flatten(1, 2)


def _smooth_factors(gains: Tensor, factor: int) -> Tensor:
    """e^g - 1 of logarithmic gains g (B, 3, h, w), bilinear between the middles of cells: (B, 3, pixels of a
    cell in rows, h, w).
    """
    whole = F.interpolate(gains.clamp(*_LOG_GAINS), scale_factor=factor, mode="bilinear", align_corners=False)
    return F.pixel_unshuffle(whole.expm1(), factor).unflatten(1, (COLOURS, -1))


def _own_network(config: OwnNetworkConfig, in_channels: int, out_channels: int) -> nn.Module:
    network = config.make(in_channels, out_channels)
    foreign = network.state_dict().keys() - dict(network.named_parameters()).keys()
    if foreign:
        raise ConfigError(
            f"the network {config.class_name} has buffers or shared weights, such as {min(foreign)}",
            consequence="checkpoints and the average hold parameters alone: it would come back without them",
            remedy="use a normalisation without memory (GroupNorm), or register them with persistent=False",
        )
    return network


def _block(side: str, level: int, config: UNetConfig) -> str:
    return f"Attn{side}Block2D" if level in config.attention_levels else f"{side}Block2D"
