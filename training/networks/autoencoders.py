"""Images to latents and back, behind one protocol: an orthonormal Haar transform, or a diffusers autoencoder.

Images are float32 (B, 3, H, W) in [-1, 1] with H and W multiples of `factor`; latents are (B, channels, H /
factor, W / factor). Autoencoders are frozen; gradients flow through `decode` to the latent, which the pixel
loss needs.
"""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, AutoencoderTiny
from pydantic import Field
from torch import Tensor, nn

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.json_digest import digest
from pairbridge.training.networks.local_folders import files_digest, load_network, read_json, unusable

Precision = Literal["fp32", "bf16"]

# Images that are encoded together have no more pixels: 32 of 256x256 would take 10 GiB in an SDXL encoder.
_PIXELS_AT_ONCE = 1024 * 1024


class Autoencoder(Protocol):
    name: str
    channels: int
    factor: int
    # Channels of `encode_mask`.
    mask_channels: int
    # Changes whenever the latents of an image would.
    digest: str
    # Latent of a black image, (channels, 1, 1), where a latent is linear in its image; else None.
    black: Tensor | None
    # Rows that make a colour's latents of a cell's pixels, orthonormal, where there are such; else None.
    bands: Tensor | None

    def encode(self, images: Tensor) -> Tensor: ...

    def decode(self, latents: Tensor, precision: Precision = "fp32") -> Tensor:
        """float32 images; precision: of the network, where there is one."""

    def encode_mask(self, masks: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 1] -> (B, mask_channels, H / factor, W / factor): a condition."""

    def to(self, device: torch.device) -> "Autoencoder": ...

    @property
    def device(self) -> torch.device:
        """Where images and latents have to be."""


class HaarConfig(FrozenModel):
    """Needs no weights. Each level halves the sides and quadruples the channels."""

    kind: Literal["haar"] = "haar"
    """Selects this variant."""
    levels: int = Field(default=2, ge=1, le=4)
    """Levels of the wavelet transform. Each halves the sides of the latent."""


class FolderConfig(FrozenModel):
    """A diffusers AutoencoderKL or AutoencoderTiny in a local folder: config.json and *.safetensors."""

    kind: Literal["folder"] = "folder"
    """Selects this variant."""
    path: Path
    """Folder of a diffusers AutoencoderKL or AutoencoderTiny: config.json and safetensors."""


_CLASSES = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}

AutoencoderConfig = Annotated[HaarConfig | FolderConfig, Field(discriminator="kind")]


def build_autoencoder(config: HaarConfig | FolderConfig) -> Autoencoder:
    if isinstance(config, HaarConfig):
        return HaarTransform(config.levels)
    return load_autoencoder(config.path)


def hollow_autoencoder(config: HaarConfig | FolderConfig) -> Autoencoder:
    """As large as `build_autoencoder`'s, its weights on the meta device: of a folder config.json is read.

    Raises ConfigError for a folder without one.
    """
    if isinstance(config, HaarConfig):
        return HaarTransform(config.levels)
    kind, settings = _kind_in(config.path)
    with torch.device("meta"):
        model = kind.from_config(settings)
    return FolderAutoencoder(model, name=config.path.name, digest="")


def _kind_in(path: Path) -> tuple[type, dict[str, Any]]:
    settings = read_json(path / "config.json")
    kind = _CLASSES.get(name := settings.get("_class_name"))
    if kind is None:
        raise unusable(path, f"its config.json names {name!r}, none of {', '.join(_CLASSES)}")
    return kind, settings


def load_autoencoder(path: Path) -> "FolderAutoencoder":
    """Raises ConfigError for a folder that does not hold one."""
    kind, _ = _kind_in(path)
    model = load_network(kind, path)
    return FolderAutoencoder(model, name=path.name, digest=files_digest(path, "config.json", "*.safetensors"))


class HaarTransform(nn.Module):
    """The 2x2 Haar transform, applied `levels` times to every channel (a full packet tree).

    Orthonormal: distances and noise have the same size in latents and in pixels, and the transpose is the
    inverse. Latent channels are ordered (colour, band), the block mean times 2^levels first within each
    colour.
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.name = f"haar-{levels}"
        self.factor = 2**levels
        self.mask_channels = self.factor**2
        self.channels = 3 * self.mask_channels
        self.digest = digest({"kind": "haar", "levels": levels})
        step = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / 2**0.5
        one_axis = torch.ones(1, 1)
        for _ in range(levels):
            one_axis = torch.kron(step, one_axis)
        # Row k of `bands` is one (factor x factor) pattern, flattened in pixel_unshuffle's order.
        self.register_buffer("bands", torch.kron(one_axis, one_axis))
        self.register_buffer("black", self.encode(torch.full((1, 3, self.factor, self.factor), -1.0))[0])

    @property
    def device(self) -> torch.device:
        return self.bands.device

    def encode(self, images: Tensor) -> Tensor:
        blocks = F.pixel_unshuffle(images, self.factor).unflatten(1, (-1, self.mask_channels))
        return torch.einsum("kp,bcphw->bckhw", self.bands, blocks).flatten(1, 2)

    def decode(self, latents: Tensor, precision: Precision = "fp32") -> Tensor:
        bands = latents.unflatten(1, (-1, self.mask_channels))
        return F.pixel_shuffle(torch.einsum("kp,bckhw->bcphw", self.bands, bands).flatten(1, 2), self.factor)

    def encode_mask(self, masks: Tensor) -> Tensor:
        """Lossless, so that the network sees the mask's edge at full resolution; divided back to [-1, 1]."""
        return self.encode(masks) / self.factor


class FolderAutoencoder(nn.Module):
    """A diffusers autoencoder from a folder, in the scaling that latent diffusion models are trained in.

    AutoencoderKL: the posterior's mode z, then (z - shift_factor) scaling_factor, or the per-channel
    latents_mean and latents_std where the folder has them. AutoencoderTiny (TAESD) was distilled to give
    scaled latents itself: its own scaling_factor is 1. Encoders run in float32, decoders in float32 or bf16:
    SDXL's overflows in float16, which ends at 65504.
    """

    def __init__(self, model: AutoencoderKL | AutoencoderTiny, *, name: str, digest: str) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        config = self.model.config
        self.name = name
        self.digest = digest
        self.channels = config.latent_channels
        self.mask_channels = 1
        self.factor = _downscaling(type(model), config)
        # z = (mode - shift) * scale per channel; diffusers writes the same two numbers in three different
        # ways.
        mean, std = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
        shift = torch.tensor(mean if mean is not None else config.shift_factor or 0.0)
        scale = config.scaling_factor / torch.tensor(std if std is not None else 1.0)
        self.black = self.bands = None
        self.register_buffer("shift", shift.float().reshape(-1, 1, 1))
        self.register_buffer("scale", scale.float().reshape(-1, 1, 1))

    @property
    def device(self) -> torch.device:
        return self.scale.device

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        together = max(1, _PIXELS_AT_ONCE // (images.shape[-2] * images.shape[-1]))
        own = torch.cat([self._encode(some) for some in images.split(together)])
        return (own - self.shift) * self.scale

    def _encode(self, images: Tensor) -> Tensor:
        encoded = self.model.encode(images)
        return encoded.latent_dist.mean if isinstance(self.model, AutoencoderKL) else encoded.latents

    def decode(self, latents: Tensor, precision: Precision = "fp32") -> Tensor:
        halved = torch.autocast(latents.device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
        with halved:
            return self.model.decode(latents / self.scale + self.shift).sample.float()

    def encode_mask(self, masks: Tensor) -> Tensor:
        return F.avg_pool2d(masks, self.factor)


def _downscaling(kind: type, config) -> int:
    blocks = config.block_out_channels if kind is AutoencoderKL else config.encoder_block_out_channels
    return 2 ** (len(blocks) - 1)


# Decoding of latents too large for the memory: in overlapping tiles, which fade into each other.


# In latent cells. At 8 pixels a cell a tile is 1024 pixels: an SDXL decoder takes about 8 GB for it.
TILE_CELLS = 128
OVERLAP_CELLS = 16


def decode_tiled(
    decode: Callable[[Tensor], Tensor],
    latents: Tensor,
    factor: int,
    *,
    tile: int = TILE_CELLS,
    overlap: int = OVERLAP_CELLS,
) -> Tensor:
    """decode(latents), (B, C, h, w) -> (B, 3, h factor, w factor); whole where no side exceeds `tile` cells.

    Tiles overlap by at least `overlap` cells and are averaged there with weights that fall linearly to their
    edges. Exact for a decoder whose pixels depend on their own cell alone; others see no further than a tile.
    """
    height, width = latents.shape[-2:]
    if max(height, width) <= tile:
        return decode(latents)
    images: Tensor | None = None
    weights = latents.new_zeros(1, 1, height * factor, width * factor)
    for top, bottom in _spans(height, tile, overlap):
        for left, right in _spans(width, tile, overlap):
            decoded = decode(latents[..., top:bottom, left:right])
            if images is None:
                images = decoded.new_zeros(*decoded.shape[:2], height * factor, width * factor)
            rows = _ramp(bottom - top, top > 0, bottom < height, overlap, factor, decoded)
            columns = _ramp(right - left, left > 0, right < width, overlap, factor, decoded)
            weight = rows[:, None] * columns
            place = (..., slice(top * factor, bottom * factor), slice(left * factor, right * factor))
            images[place] += decoded * weight
            weights[place] += weight
    return images / weights


def _spans(length: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Tiles of equal size that cover [0, length), evenly spread."""
    if length <= tile:
        return [(0, length)]
    count = -(-(length - overlap) // (tile - overlap))
    starts = [round(k * (length - tile) / (count - 1)) for k in range(count)]
    return [(start, start + tile) for start in starts]


def _ramp(cells: int, fades_in: bool, fades_out: bool, overlap: int, factor: int, like: Tensor) -> Tensor:
    """Weights along one side of a tile: 1 inside, falling towards an edge that another tile covers too."""
    place = torch.arange(cells * factor, dtype=like.dtype, device=like.device) + 0.5
    weight = torch.ones_like(place)
    if fades_in:
        weight = torch.minimum(weight, place / (overlap * factor))
    if fades_out:
        weight = torch.minimum(weight, (cells * factor - place) / (overlap * factor))
    return weight
