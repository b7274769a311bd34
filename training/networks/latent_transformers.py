"""The transformers of DiT, SD3 and FLUX as networks of a bridge: diffusers' own classes, called without text.

Conditions are concatenated to the latent before it is cut into patches. What text would be is constant: one
token of zeros and a pooled embedding of zeros, which the layers that read them turn into their biases, so
that the null prompt is learned in tensors that the published model has; of DiT the class "none". Nothing is
cut out of the networks: all published tensors but the output layer are kept, and diffusers opens the result.
FLUX.1-dev's embedding of a guidance scale becomes what it is at a scale of 1.
"""

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from diffusers import DiTTransformer2DModel, FluxTransformer2DModel, SD3Transformer2DModel
from diffusers.models.embeddings import LabelEmbedding, get_timestep_embedding
from pydantic import Field, model_validator
from torch import Tensor, nn

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.training.data.condition_specs import Conditions
from pairbridge.training.networks.backbones import TIME_SCALE
from pairbridge.training.networks.base_weights import Surgery


class TransformerConfig(FrozenModel):
    """What all of them have."""

    component: ClassVar[str] = "transformer"
    side_multiple: ClassVar[int] = 2

    base: Path | None = None
    """Folder in diffusers' layout (config.json, *.safetensors) whose weights training starts from. The output
    layer starts at zero unless the folder is of a published bridge. null: random weights."""
    conditions: Conditions = ()
    """Conditions, concatenated to x_t along channels."""


class DiTConfig(TransformerConfig):
    """DiT-XL/2 by default, 4 latent channels (arXiv 2212.09748)."""

    surgery: ClassVar[Surgery] = Surgery(input="pos_embed.proj.weight", head="proj_out_2.")

    kind: Literal["dit"] = "dit"
    """Selects this variant."""
    layers: int = Field(default=28, ge=1)
    """Transformer blocks."""
    heads: int = Field(default=16, ge=1)
    """Attention heads."""
    head_width: int = Field(default=72, ge=4, multiple_of=4)
    """Channels per attention head."""
    grid: int = Field(default=32, ge=2, multiple_of=2)
    """Latent side that positions were trained at; on others they are interpolated."""

    def build(self, *, in_channels: int, out_channels: int) -> DiTTransformer2DModel:
        network = DiTTransformer2DModel(
            in_channels=in_channels,
            out_channels=out_channels,
            num_layers=self.layers,
            num_attention_heads=self.heads,
            attention_head_dim=self.head_width,
            sample_size=self.grid,
        )
        for part in network.modules():
            if isinstance(part, LabelEmbedding):
                # The class is always "none": there is none to drop, by the global random generator at that.
                part.dropout_prob = 0.0
        return _silent(network, network.proj_out_2)


class SD3Config(TransformerConfig):
    """SD3-medium by default, 16 latent channels. SD3.5-medium: dual_attention_layers 13, query_key_norm true,
    largest_side 768. SD3.5-large: layers 38, heads 38, query_key_norm true.
    """

    surgery: ClassVar[Surgery] = Surgery(input="pos_embed.proj.weight", head="proj_out.")

    kind: Literal["sd3"] = "sd3"
    """Selects this variant."""
    layers: int = Field(default=24, ge=1)
    """Transformer blocks."""
    heads: int = Field(default=24, ge=1)
    """Attention heads."""
    head_width: int = Field(default=64, ge=4, multiple_of=4)
    """Channels per attention head."""
    dual_attention_layers: int = Field(default=0, ge=0)
    """Blocks, the first ones, with a second attention of the image to itself (SD3.5-medium)."""
    query_key_norm: bool = False
    """Whether queries and keys are normalised (SD3.5)."""
    text_width: int = Field(default=4096, ge=1)
    """Width of the text tokens that the published network reads; here one token of zeros."""
    pooled_width: int = Field(default=2048, ge=1)
    """Width of the pooled text embedding that the published network reads; here zeros."""
    grid: int = Field(default=128, ge=2, multiple_of=2)
    """Latent side that positions were trained at."""
    largest_side: int = Field(default=384, ge=2, multiple_of=2)
    """Largest latent side that there are positions for."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.dual_attention_layers > self.layers:
            raise ValueError(f"dual_attention_layers {self.dual_attention_layers} of {self.layers} layers")
        return self

    def check_sides(self, latent_HW: tuple[int, ...], factor: int) -> None:
        """Raise ConfigError for latents, of `factor` pixels a cell, that there are no positions for."""
        if max(latent_HW) > self.largest_side:
            raise ConfigError(
                f"latents of {latent_HW[1]}x{latent_HW[0]} are larger than denoiser.largest_side,"
                f" {self.largest_side}",
                consequence="the network has no positions for what lies beyond",
                remedy=f"take images with sides of at most {factor * self.largest_side} pixels, or before its"
                " training set denoiser.largest_side to what its base has (SD3.5-medium: 768)",
            )

    def build(self, *, in_channels: int, out_channels: int) -> SD3Transformer2DModel:
        network = SD3Transformer2DModel(
            in_channels=in_channels,
            out_channels=out_channels,
            num_layers=self.layers,
            num_attention_heads=self.heads,
            attention_head_dim=self.head_width,
            caption_projection_dim=self.heads * self.head_width,
            joint_attention_dim=self.text_width,
            pooled_projection_dim=self.pooled_width,
            dual_attention_layers=tuple(range(self.dual_attention_layers)),
            qk_norm="rms_norm" if self.query_key_norm else None,
            sample_size=self.grid,
            pos_embed_max_size=self.largest_side // self.side_multiple,
        )
        return _silent(network, network.proj_out)


def _without_guidance(base: dict[str, Tensor]) -> dict[str, Tensor]:
    """FLUX.1-dev's embedding of the guidance scale at 1, added to that of the time, as it always is."""
    start = "time_text_embed.guidance_embedder."
    parts = {key.removeprefix(start): base.pop(key) for key in list(base) if key.startswith(start)}
    if parts:
        parts = {name: value.float() for name, value in parts.items()}
        scale = torch.tensor([TIME_SCALE], device=parts["linear_1.weight"].device)
        width = parts["linear_1.weight"].shape[1]
        waves = get_timestep_embedding(scale, width, flip_sin_to_cos=True, downscale_freq_shift=0)
        hidden = F.silu(F.linear(waves, parts["linear_1.weight"], parts["linear_1.bias"]))
        embedded = F.linear(hidden, parts["linear_2.weight"], parts["linear_2.bias"])[0]
        bias = "time_text_embed.timestep_embedder.linear_2.bias"
        base[bias] = base[bias].float() + embedded
    return base


class FluxConfig(TransformerConfig):
    """FLUX.1-dev and FLUX.1-schnell by default, 16 latent channels."""

    surgery: ClassVar[Surgery] = Surgery(
        input="x_embedder.weight", head="proj_out.", cells=4, folded=_without_guidance
    )

    kind: Literal["flux"] = "flux"
    """Selects this variant."""
    layers: int = Field(default=19, ge=1)
    """Blocks in which image and text have weights of their own."""
    single_layers: int = Field(default=38, ge=1)
    """Blocks in which they share them, after these."""
    heads: int = Field(default=24, ge=1)
    """Attention heads."""
    rotary: tuple[int, int, int] = (16, 56, 56)
    """Channels of an attention head that are rotated by the index of an image, a row and a column; together
    they are the head."""
    text_width: int = Field(default=4096, ge=1)
    """Width of the text tokens that the published network reads; here one token of zeros."""
    pooled_width: int = Field(default=768, ge=1)
    """Width of the pooled text embedding that the published network reads; here zeros."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(width < 2 or width % 2 for width in self.rotary):
            raise ValueError(f"rotary {self.rotary} must be even numbers from 2")
        return self

    def build(self, *, in_channels: int, out_channels: int) -> FluxTransformer2DModel:
        cells = self.surgery.cells
        network = FluxTransformer2DModel(
            in_channels=cells * in_channels,
            out_channels=cells * out_channels,
            num_layers=self.layers,
            num_single_layers=self.single_layers,
            num_attention_heads=self.heads,
            attention_head_dim=sum(self.rotary),
            axes_dims_rope=self.rotary,
            joint_attention_dim=self.text_width,
            pooled_projection_dim=self.pooled_width,
        )
        return _silent(network, network.proj_out)


def _silent(network: Any, head: nn.Linear) -> Any:
    """`network` with an output of zeros."""
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return network
