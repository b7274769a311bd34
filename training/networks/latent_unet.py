"""The UNets of SDXL and of the SD family without text conditioning, and how published weights map to them.

Three changes (LBM, arXiv 2503.07535, section 4): no text, no size and crop embedding, and the input widened
by the conditions. Without text the second attention of each transformer block attends to the image itself,
as the first does, and its key and value matrices read as many features as the block is wide: of SDXL's 2048
columns the first 640 or 1280 are kept. Where a text encoder was narrower than the block (SD 1.5: 768), the
columns that it lacks start at zero. `base_weights` has what holds for other networks too. 2.426 B parameters
at SDXL's size.
"""

from pathlib import Path
from typing import ClassVar, Literal, Self

from diffusers import UNet2DConditionModel
from pydantic import Field, model_validator
from torch import nn

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.training.data.condition_specs import Conditions
from pairbridge.training.networks.base_weights import Surgery


class LatentUNetConfig(FrozenModel):
    """SDXL by default. SD 1.5: widths [320, 640, 1280, 1280], transformer_layers [1, 1, 1, 0],
    middle_layers 1, heads [8, 8, 8, 8], linear_projection false. SD 2.1: the same with heads [5, 10, 20,
    20] and true.
    """

    component: ClassVar[str] = "unet"
    surgery: ClassVar[Surgery] = Surgery(
        resized=(".attn2.to_k.weight", ".attn2.to_v.weight"),
        dropped=("add_embedding.", "encoder_hid_proj.", "class_embedding."),
    )

    kind: Literal["latent_unet"] = "latent_unet"
    """Selects this variant."""
    base: Path | None = None
    """Folder in diffusers' layout (config.json, *.safetensors) whose weights training starts from; it must
    have the topology below. The output layer starts at zero unless the folder is of a published bridge. null:
    random weights."""
    widths: tuple[int, ...] = (320, 640, 1280)
    """Channels per level, from full latent resolution down. Each further level halves the sides."""
    transformer_layers: tuple[int, ...] = (0, 2, 10)
    """Transformer blocks per level; 0: no attention there."""
    middle_layers: int = Field(default=10, ge=1)
    """Transformer blocks of the middle block."""
    heads: tuple[int, ...] = (5, 10, 20)
    """Attention heads per level."""
    layers_per_block: int = Field(default=2, ge=1)
    """Residual blocks per level."""
    norm_groups: int = Field(default=32, ge=1)
    """Groups of the group normalisation. Every width is a multiple of it."""
    linear_projection: bool = True
    """Whether transformer blocks project by a linear layer (SDXL, SD 2.1) rather than a convolution (SD
    1.5)."""
    conditions: Conditions = ()
    """Conditions, concatenated to x_t along channels."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.widths or not len(self.widths) == len(self.transformer_layers) == len(self.heads):
            raise ValueError("widths, transformer_layers and heads need one entry per level each")
        uneven = [
            width
            for width, heads in zip(self.widths, self.heads, strict=True)
            if width % heads or width % self.norm_groups
        ]
        if uneven:
            raise ValueError(f"widths {uneven} must be multiples of their heads and of norm_groups")
        if self.transformer_layers[-1] not in (0, self.middle_layers):
            # diffusers builds the middle block with the last level's number of layers.
            raise ValueError("middle_layers must be transformer_layers' last entry, where that is not 0")
        return self

    @property
    def side_multiple(self) -> int:
        """Latent sides must be multiples of this."""
        return 2 ** (len(self.widths) - 1)

    def build(self, *, in_channels: int, out_channels: int) -> UNet2DConditionModel:
        """The operated network with random weights and a zero output; call it without encoder states."""
        attends = [layers > 0 for layers in self.transformer_layers]
        unet = UNet2DConditionModel(
            in_channels=in_channels,
            out_channels=out_channels,
            block_out_channels=self.widths,
            down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attends),
            up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)),
            layers_per_block=self.layers_per_block,
            # Where a level has no attention diffusers ignores the number, save in the middle block.
            transformer_layers_per_block=tuple(
                layers or self.middle_layers for layers in self.transformer_layers
            ),
            # As wide as the block: what was cross-attention is self-attention.
            cross_attention_dim=self.widths,
            # diffusers' historical name for the number of heads.
            attention_head_dim=self.heads,
            use_linear_projection=self.linear_projection,
            norm_num_groups=self.norm_groups,
        )
        nn.init.zeros_(unet.conv_out.weight)
        nn.init.zeros_(unet.conv_out.bias)
        return unet
