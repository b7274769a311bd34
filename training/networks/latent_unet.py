"""The UNets of SDXL and of the SD family without text conditioning, and how published weights map to them.

Three changes (LBM, arXiv 2503.07535, section 4): no text, no size and crop embedding, and the input widened
by the conditions. Without text the second attention of each transformer block attends to the image itself,
as the first does, and its key and value matrices read as many features as the block is wide: of SDXL's 2048
columns the first 640 or 1280 are kept. Where a text encoder was narrower than the block (SD 1.5: 768), the
columns that it lacks start at zero. New input channels start at zero as well, so that training begins with
what the weights do without them. 2.426 B parameters at SDXL's size.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from diffusers import UNet2DConditionModel
from pydantic import Field, model_validator
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.json_digest import digest, file_sha256
from pairbridge.training.data.condition_specs import Conditions


class LatentUNetConfig(FrozenModel):
    """SDXL by default. SD 1.5: widths [320, 640, 1280, 1280], transformer_layers [1, 1, 1, 0],
    middle_layers 1, heads [8, 8, 8, 8], linear_projection false. SD 2.1: the same with heads [5, 10, 20,
    20] and true.
    """

    kind: Literal["latent_unet"] = "latent_unet"
    """Selects this variant."""
    base: Path | None = None
    """Folder in diffusers' layout (config.json, *.safetensors) whose weights training starts from; it must
    have the topology below and is read once, before the first step. null: random weights and an output of
    zero."""
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


def build_latent_unet(
    config: LatentUNetConfig, *, in_channels: int, out_channels: int
) -> UNet2DConditionModel:
    """The operated network with random weights and a zero output; call it without encoder states."""
    attends = [layers > 0 for layers in config.transformer_layers]
    unet = UNet2DConditionModel(
        in_channels=in_channels,
        out_channels=out_channels,
        block_out_channels=config.widths,
        down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attends),
        up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)),
        layers_per_block=config.layers_per_block,
        # Where a level has no attention diffusers ignores the number, save in the middle block.
        transformer_layers_per_block=tuple(
            layers or config.middle_layers for layers in config.transformer_layers
        ),
        # As wide as the block: what was cross-attention is self-attention.
        cross_attention_dim=config.widths,
        # diffusers' historical name for the number of heads.
        attention_head_dim=config.heads,
        use_linear_projection=config.linear_projection,
        norm_num_groups=config.norm_groups,
    )
    nn.init.zeros_(unet.conv_out.weight)
    nn.init.zeros_(unet.conv_out.bias)
    return unet


def load_base(unet: UNet2DConditionModel, folder: Path) -> None:
    """Fill `unet` with the weights of a diffusers UNet folder. Raises ConfigError where they do not fit."""
    wanted = unet.state_dict()
    operated = operate(_read_weights(folder), wanted, folder)
    unet.load_state_dict(operated)


def operate(base: Mapping[str, Tensor], wanted: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """`base` with the keys and shapes of `wanted`: the surgery above, tensor by tensor.

    Raises ConfigError that names the first tensors that fit nowhere; nothing is dropped in silence but what
    embeds text, sizes, crops or classes.
    """
    kept = {key: value for key, value in base.items() if not key.startswith(_DROPPED)}
    missing, foreign = sorted(wanted.keys() - kept.keys()), sorted(kept.keys() - wanted.keys())
    if missing or foreign:
        raise _unfit(folder, f"it lacks {missing[:3]} and has {foreign[:3]} beside them")
    operated = {}
    for key, target in wanted.items():
        value = kept[key]
        if value.shape != target.shape:
            if (
                not key.endswith(_RESHAPED)
                or value.shape[:1] + value.shape[2:] != target.shape[:1] + target.shape[2:]
            ):
                raise _unfit(folder, f"{key} is {tuple(value.shape)} and should be {tuple(target.shape)}")
            if key == _INPUT and value.shape[1] > target.shape[1]:
                raise _unfit(
                    folder, f"it reads {value.shape[1]} channels, more than the {target.shape[1]} here"
                )
            value = resize_inputs(value, target.shape[1])
        operated[key] = value.to(target.dtype)
    return operated


_INPUT = "conv_in.weight"
_RESHAPED = (_INPUT, ".attn2.to_k.weight", ".attn2.to_v.weight")
_DROPPED = ("add_embedding.", "encoder_hid_proj.", "class_embedding.")


def resize_inputs(value: Tensor, count: int) -> Tensor:
    """`value` (out, in, ...) with `count` inputs: the first ones, then zeros."""
    shared = min(count, value.shape[1])
    resized = value.new_zeros(value.shape[0], count, *value.shape[2:])
    resized[:, :shared] = value[:, :shared]
    return resized


def base_digest(folder: Path) -> str:
    """Changes with any byte of the folder's weights. Raises ConfigError without one."""
    return digest({path.name: file_sha256(path) for path in _weight_files(folder)})


def _read_weights(folder: Path) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    try:
        for path in _weight_files(folder):
            with safe_open(path, framework="pt") as file:
                weights |= {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise _unfit(folder, str(error)) from error
    return weights


def _weight_files(folder: Path) -> list[Path]:
    """The safetensors files: those that an index names, or one; fp16 variants beside them are left alone."""
    indexes = sorted(folder.glob("*.safetensors.index.json"))
    if indexes:
        try:
            names: dict[str, Any] = json.loads(indexes[0].read_bytes())["weight_map"]
        except (ValueError, KeyError) as error:
            raise _unfit(folder, f"{indexes[0].name} is no index of weights ({error})") from error
        return [folder / name for name in sorted(set(names.values()))]
    files = sorted(folder.glob("*.safetensors"))
    whole = [path for path in files if path.name == "diffusion_pytorch_model.safetensors"] or files[:1]
    if not whole:
        raise _unfit(folder, "it holds no *.safetensors file")
    return whole


def _unfit(folder: Path, why: str) -> ConfigError:
    return ConfigError(
        f"base weights {folder}: {why}",
        consequence="training would start from other weights than were asked for",
        remedy="point denoiser.base at the unet folder of a model in diffusers' layout whose topology the"
        " denoiser's keys describe, or set it to null to start from random weights",
    )
