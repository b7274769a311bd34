"""A latent bridge (arXiv 2503.07535), image to image, as a pipeline of diffusers.

As `pipeline.py` of a published folder this file needs torch and diffusers alone; the folder's card says how
it is opened. `unet` or `transformer` and, where the latents are not those of a Haar transform, `vae` are
networks of diffusers' own; all else that a translation depends on is `bridge` in model_index.json. From
pairbridge, Apache-2.0.
"""

from PIL import Image
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from diffusers import AutoencoderKL, AutoencoderTiny, DiTTransformer2DModel, DiffusionPipeline, FluxTransformer2DModel, ImagePipelineOutput, SD3Transformer2DModel, UNet2DConditionModel, UNet2DModel
from enum import StrEnum
import copyreg
import hashlib
import json
import math
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from types import MappingProxyType
from typing import Any, Literal, Protocol


@dataclass(frozen=True)
class SeenCondition:
    """What the network sees beside x_t, as `bridge["conditions"]` states it.

    `whole`: the image is resized to the source's size, rather than padded with it. `optional`: training
    withheld it now and then, so that zeros may stand in its place.
    """

    field: str
    classes: tuple[str, ...]
    labels: int | None
    code_base: int | None
    through_autoencoder: bool
    as_irradiance: bool
    colours: int
    channels: int
    whole: bool
    optional: bool


Precision = Literal["fp32", "bf16"]


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces; NaN and infinities raise ValueError."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(value: Any) -> str:
    """Hex sha256 of `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


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


Backbone = (
    UNet2DModel
    | UNet2DConditionModel
    | DiTTransformer2DModel
    | SD3Transformer2DModel
    | FluxTransformer2DModel
)


class PairbridgeError(Exception):
    """Base of every error the command line prints without a traceback.

    `cause` names the thing (a path, a key, a field), `consequence` says what would have happened or did,
    `remedy` is what to type or change next.
    """

    def __init__(self, cause: str, *, consequence: str, remedy: str) -> None:
        super().__init__(f"{cause}\n  consequence: {consequence}\n  remedy: {remedy}")
        self.cause = cause
        self.consequence = consequence
        self.remedy = remedy

    def __reduce__(self):
        # Errors cross process borders, and the default pickling calls `__init__` without its keywords.
        return copyreg.__newobj__, (type(self), *self.args), vars(self)


class ConfigError(PairbridgeError):
    """A configuration that cannot be run as written."""


# (x_t, t) -> v, with x_t (B, C, H, W) and t (B,).
FieldFn = Callable[[Tensor, Tensor], Tensor]


# Images that are encoded together have no more pixels: 32 of 256x256 would take 10 GiB in an SDXL encoder.
_PIXELS_AT_ONCE = 1024 * 1024


def _downscaling(kind: type, config) -> int:
    blocks = config.block_out_channels if kind is AutoencoderKL else config.encoder_block_out_channels
    return 2 ** (len(blocks) - 1)


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


MASK = "mask"


NOISE = "noise"


SOURCE = "source"


_LEVELS = np.arange(256, dtype=np.float32) / np.float32(127.5) - np.float32(1)


def _image_tensor(image: np.ndarray) -> Tensor:
    """uint8 (H, W, C) -> float32 (1, C, H, W) in [-1, 1]."""
    # Channels last in memory, as the network is, and as pictures are.
    return torch.from_numpy(_LEVELS[image])[None].permute(0, 3, 1, 2)


# 8 bits hold the labels below 255, and 255 for what has none; more labels travel in 16 bits.
MOST_8_BIT_LABELS = 255


def _top(labels: int) -> int:
    """The largest value of the type of `ConditionConfig.label_image`."""
    return 255 if labels <= MOST_8_BIT_LABELS else 65535


def label_levels(numbers: Tensor, labels: int) -> Tensor:
    """Label numbers as a label map travels among images: the whole range of its type as [-1, 1]."""
    return numbers / (_top(labels) / 2) - 1


def _label_tensor(
    one: SeenCondition, value: Image.Image | np.ndarray, size: tuple[int, int], source: Tensor, padded: Any
) -> Tensor:
    """A label map as a tensor of the padded source's size; resized, it takes the nearest pixel."""
    numbers = np.asarray(value)
    if numbers.ndim != 2:
        raise ConfigError(
            f"{one.field} has shape {numbers.shape}, and a label map has one number a pixel",
            consequence="which label a colour stands for is not known",
            remedy="give a picture of mode L, P or I;16 whose numbers are the labels",
        )
    levels = label_levels(torch.from_numpy(numbers.astype(np.float32))[None, None], one.labels)
    levels = levels.to(source.device)
    if levels.shape[-2:] != size:
        return F.interpolate(levels, source.shape[-2:], mode="nearest-exact")
    return padded(levels)


_CACHE_LINE = 64


def aligned(network: Any) -> Any:
    """A `network` of torch itself, every weight at an address that torch's own allocator would give.

    Kernels of the CPU take the elements before the first aligned one by another path, so that sums round
    otherwise: the same weights read from two files, of which one is mapped, gave images one byte apart.
    """
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.device.type == "cpu" and tensor.data_ptr() % _CACHE_LINE:
            tensor.data = tensor.data.clone()
    return network


def classifier_free(conditional: FieldFn, unconditional: FieldFn, scale: float) -> FieldFn:
    """The guided field; two evaluations a time, or one where the scale needs no other."""
    if scale == 1:
        return conditional
    if scale == 0:
        return unconditional

    def guided(x: Tensor, t: Tensor) -> Tensor:
        without = unconditional(x, t)
        return without + scale * (conditional(x, t) - without)

    return guided


OVERLAP_CELLS = 16


# In latent cells. At 8 pixels a cell a tile is 1024 pixels: an SDXL decoder takes about 8 GB for it.
TILE_CELLS = 128


def _ramp(cells: int, fades_in: bool, fades_out: bool, overlap: int, factor: int, like: Tensor) -> Tensor:
    """Weights along one side of a tile: 1 inside, falling towards an edge that another tile covers too."""
    place = torch.arange(cells * factor, dtype=like.dtype, device=like.device) + 0.5
    weight = torch.ones_like(place)
    if fades_in:
        weight = torch.minimum(weight, place / (overlap * factor))
    if fades_out:
        weight = torch.minimum(weight, (cells * factor - place) / (overlap * factor))
    return weight


def _spans(length: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Tiles of equal size that cover [0, length), evenly spread."""
    if length <= tile:
        return [(0, length)]
    count = -(-(length - overlap) // (tile - overlap))
    starts = [round(k * (length - tile) / (count - 1)) for k in range(count)]
    return [(start, start + tile) for start in starts]


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


class Condition(Protocol):
    """What of a ConditionConfig its tensor depends on."""

    field: str
    classes: tuple[str, ...]
    labels: int | None
    code_base: int | None
    through_autoencoder: bool
    as_irradiance: bool
    colours: int


# Blocks of planes of a coded label map, of which a label marks one plane each.
CODE_BLOCKS = 3


def _shares(pixels: Tensor, count: int) -> Tensor:
    """(B, count, h, w): the share of a cell's pixels (B, 1, n, h, w) that hold each number below `count`."""
    numbers = torch.arange(count, device=pixels.device)[:, None, None, None]
    return (pixels == numbers).sum(dim=2, dtype=torch.float32) / pixels.shape[2]


def _label_planes(numbers: Tensor, labels: int, code_base: int | None, factor: int) -> Tensor:
    """(B, width, h, w) in [0, 1] from label numbers (B, 1, H, W), each cell the mean of its pixels."""
    pixels = F.pixel_unshuffle(numbers, factor).long()[:, None]
    if code_base is None:
        return _shares(pixels, labels)
    # What has no label marks no plane.
    offset = torch.where((pixels >= 0) & (pixels < labels), pixels % code_base, -1)
    rise = pixels // code_base
    blocks = [
        _shares(torch.where(offset < 0, -1, (offset + rise * block) % code_base), code_base)
        for block in range(CODE_BLOCKS)
    ]
    return torch.cat(blocks, dim=1)


def _planes(pixels: Tensor, count: int, like: Tensor) -> Tensor:
    """(B, 1, 1, 1) classes -> (B, count, h, w) of `like`: ones in the class's own plane."""
    number = ((pixels.reshape(-1, 1) + 1) * 127.5).round()
    chosen = number == torch.arange(count, device=pixels.device)
    return chosen.to(like.dtype)[:, :, None, None].expand(-1, -1, *like.shape[-2:])


def _with_channels(image: Tensor, channels: int) -> Tensor:
    if image.shape[1] == channels:
        return image
    if image.shape[1] == 6:
        # Light in two ranges; the second has all of it.
        image = image[:, 3:]
        if channels == 3:
            return image
    return image.expand(-1, channels, -1, -1) if channels == 3 else image.mean(dim=1, keepdim=True)


# The largest number of 16-bit floats, in which environment maps are stored.
BRIGHTEST = 65504.0


# What a level of 1 stands for in the second range of an environment map: log(1 + L) of that.
LOG_BRIGHTEST = float(np.log1p(BRIGHTEST))


# The mean radiance that counts as black: a light below it is none.
_DARK = 1e-3


# Polynomials, and what they are multiplied with: a_k N_k^2.
_WEIGHTS = tuple(
    share / (4 * math.pi) for share in (1.0, *(3 * 2 / 3,) * 3, *(15 / 4,) * 3, 5 / 4 / 4, 15 / 4 / 4)
)


def _projections(height: int, width: int, like: Tensor) -> Tensor:
    """(9, height, width): what the radiance of every texel adds to each c_k."""
    rows = (torch.arange(height + 1, device=like.device, dtype=like.dtype) / height * math.pi).cos()
    solid_angle = (rows[:-1] - rows[1:])[:, None] * (2 * math.pi / width)
    elevation = (0.5 - (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height) * math.pi
    azimuth = ((torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width - 0.5) * 2 * math.pi
    level, y = elevation.cos()[:, None], elevation.sin()[:, None].expand(height, width)
    x, z = level * azimuth.sin(), -level * azimuth.cos()
    one = torch.ones_like(x)
    polynomials = (one, x, y, z, x * y, y * z, x * z, 3 * z * z - 1, x * x - y * y)
    weighted = [weight * own for weight, own in zip(_WEIGHTS, polynomials, strict=True)]
    return torch.stack(weighted) * solid_angle


def irradiance_numbers(planes: Tensor) -> Tensor:
    """(B, 27) of environment maps (B, 6 or 3, H, W) in camera coordinates, as
    `pairbridge.training.data.targets.light_planes` has them, or the logarithm alone.

    Number 3 k + colour is of polynomial k: of the first the natural logarithm of the mean radiance (0.001 for
    less), of all others c_k over the mean of the three colours' mean radiance, within [-2, 2] or so.
    """
    radiance = torch.expm1((planes[:, -3:] + 1) * (LOG_BRIGHTEST / 2)).clamp(min=0)
    coefficients = torch.einsum("khw,bchw->bkc", _projections(*radiance.shape[-2:], radiance), radiance)
    mean = coefficients[:, :1]
    relative = coefficients[:, 1:] / mean.mean(dim=2, keepdim=True).clamp(min=_DARK)
    return torch.cat([mean.clamp(min=_DARK).log(), relative], dim=1).flatten(1)


def encode_condition(
    config: Condition, images: Mapping[str, Tensor], x0: Tensor, autoencoder: Autoencoder
) -> Tensor:
    """(B, width, h, w) from `images` (B, C, H, W): masks in [0, 1], all others in [-1, 1], label maps as
    `label_levels`; x0: source latent.
    """
    if config.field == SOURCE:
        return x0
    if config.classes:
        return _planes(images[config.field], len(config.classes), x0)
    if config.labels:
        numbers = ((images[config.field] + 1) * (_top(config.labels) / 2)).round()
        return _label_planes(numbers, config.labels, config.code_base, autoencoder.factor).to(x0.dtype)
    if config.as_irradiance:
        numbers = irradiance_numbers(images[config.field])
        return numbers[:, :, None, None].expand(-1, -1, *x0.shape[-2:])
    image = _with_channels(images[config.field], 3 if config.through_autoencoder else config.colours)
    if not config.through_autoencoder:
        return autoencoder.encode_mask(image)
    return autoencoder.encode(image * 2 - 1 if config.field == MASK else image)


def times_over(t: Tensor, x: Tensor) -> Tensor:
    """(B,) times shaped to broadcast over x."""
    return t.reshape(-1, *(1,) * (x.ndim - 1)).to(x.dtype)


def estimate_target(x_t: Tensor, v: Tensor, t: Tensor) -> Tensor:
    """The target that a field value v at (x_t, t) points to."""
    return x_t + (1 - times_over(t, x_t)) * v


# Times in [0, 1] are read as steps of a thousand, the range that sinusoidal embeddings were designed for.
TIME_SCALE = 1000.0


def _dit(network: DiTTransformer2DModel, inputs: Tensor, time: Tensor) -> Tensor:
    """The network's parts in the order of its own `forward`, which puts patches together as squares alone."""
    patch = network.config.patch_size
    rows, columns = (side // patch for side in inputs.shape[-2:])
    none = torch.full(inputs.shape[:1], network.config.num_embeds_ada_norm, device=inputs.device)
    hidden = network.pos_embed(inputs)
    for block in network.transformer_blocks:
        if torch.is_grad_enabled() and network.gradient_checkpointing:
            hidden = network._gradient_checkpointing_func(block, hidden, None, None, None, time, None, none)
        else:
            hidden = block(hidden, timestep=time, class_labels=none)
    embedded = network.transformer_blocks[0].norm1.emb(time, none, hidden_dtype=hidden.dtype)
    shift, scale = network.proj_out_1(F.silu(embedded)).chunk(2, dim=1)
    hidden = network.norm_out(hidden) * (1 + scale[:, None]) + shift[:, None]
    patches = network.proj_out_2(hidden).unflatten(1, (rows, columns)).unflatten(-1, (patch, patch, -1))
    return torch.einsum("nhwpqc->nchpwq", patches).flatten(4, 5).flatten(2, 3)


def _flux(
    network: FluxTransformer2DModel, inputs: Tensor, time: Tensor, text: Tensor, pooled: Tensor
) -> Tensor:
    """Cells of 2 x 2 are packed into tokens, channels first, as FLUX was trained."""
    rows, columns = (side // 2 for side in inputs.shape[-2:])
    places = torch.zeros(rows, columns, 3, device=inputs.device)
    places[..., 1] = torch.arange(rows, device=inputs.device)[:, None]
    places[..., 2] = torch.arange(columns, device=inputs.device)
    tokens = network(
        F.pixel_unshuffle(inputs, 2).flatten(2).transpose(1, 2),
        encoder_hidden_states=text,
        pooled_projections=pooled,
        # It multiplies by a thousand itself.
        timestep=time / TIME_SCALE,
        img_ids=places.flatten(0, 1),
        txt_ids=torch.zeros(1, 3, device=inputs.device),
    ).sample
    return F.pixel_shuffle(tokens.transpose(1, 2).unflatten(2, (rows, columns)), 2)


def evaluate(network: Backbone, inputs: Tensor, t: Tensor) -> Tensor:
    """(B, channels_in, h, w) and t (B,) or (1,) -> the network's output (B, channels_out, h, w)."""
    time = t.expand(inputs.shape[0]) * TIME_SCALE
    if isinstance(network, UNet2DModel):
        return network(inputs, time).sample
    if isinstance(network, UNet2DConditionModel):
        return network(inputs, time, encoder_hidden_states=None).sample
    if isinstance(network, DiTTransformer2DModel):
        return _dit(network, inputs, time)
    text = inputs.new_zeros(inputs.shape[0], 1, network.config.joint_attention_dim)
    pooled = inputs.new_zeros(inputs.shape[0], network.config.pooled_projection_dim)
    if isinstance(network, SD3Transformer2DModel):
        return network(inputs, text, pooled, time).sample
    return _flux(network, inputs, time, text, pooled)


COLOURS = 3


# From a fiftieth to four times, of values as pictures encode them: far beyond what light does to a thing.
_LOG_GAINS = (-4.0, 1.4)


def _smooth_factors(gains: Tensor, factor: int) -> Tensor:
    """e^g - 1 of logarithmic gains g (B, 3, h, w), bilinear between the middles of cells: (B, 3, pixels of a
    cell in rows, h, w).
    """
    whole = F.interpolate(gains.clamp(*_LOG_GAINS), scale_factor=factor, mode="bilinear", align_corners=False)
    return F.pixel_unshuffle(whole.expm1(), factor).unflatten(1, (COLOURS, -1))


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


Key = str | int


def _spawn_key(key: tuple[Key, ...]) -> tuple[int, ...]:
    # Strings and integers are tagged, so that 1 and "1" are different keys.
    text = "\x1f".join(f"{'i' if isinstance(part, int) else 's'}{part}" for part in key)
    raw = hashlib.sha256(text.encode()).digest()
    return tuple(int.from_bytes(raw[i : i + 4], "little") for i in range(0, 16, 4))


def rng(seed: int, *key: Key) -> np.random.Generator:
    """Generator for `key` under the root `seed` (any non-negative integer, 0 included)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=_spawn_key(key))))


def fill_noise(image: np.ndarray, mask: np.ndarray, seed: int) -> np.ndarray:
    """`image` with every pixel of `mask` > 0 replaced by uniform noise 0..255, each channel on its own.

    image: uint8 (H, W, 3); mask: uint8 (H, W), 255 = remove. Any non-zero mask value counts as hole: the
    half-covered rim of a soft mask still shows the object, and must not leak it. Pixels of mask 0 are
    byte-identical. The noise of a pixel depends on seed, place and image shape, not on the mask.
    Raises ValueError where the two sizes differ. (arXiv 2503.07535, appendix A: uniform random pixels.)
    """
    if mask.shape != image.shape[:2]:
        raise ValueError(
            f"mask {mask.shape} and image {image.shape[:2]} differ; fill before or after resizing both"
        )
    noise = rng(seed, "fill").integers(0, 256, size=image.shape, dtype=np.uint8)
    return np.where(mask[..., None] > 0, noise, image)


# Below, a coarse pixel has seen next to nothing of the image.
_LEAST_WEIGHT = 1e-6


def _halved(images: Tensor) -> Tensor:
    """Means of 2 x 2 pixels, at an odd edge of those that there are: with the edge repeated, it is the same.

    A gather rather than `ceil_mode`, whose sizes an exporter cannot follow.
    """
    for axis in (-2, -1):
        side = images.shape[axis]
        places = torch.arange((side + 1) // 2 * 2, device=images.device).clamp(max=side - 1)
        images = images.index_select(axis, places)
    return F.avg_pool2d(images, 2)


def _filled(values: Tensor, weights: Tensor, levels: int) -> Tensor:
    """values where their weight is 1, where it is less mixed with the filled next coarser grid."""
    if levels == 0:
        return values * (weights > _LEAST_WEIGHT)
    height, width = values.shape[-2:]
    seen = _halved(weights)
    averages = _halved(values * weights) / seen.clamp(min=_LEAST_WEIGHT)
    coarse = _filled(averages, seen.mul(4).clamp(max=1), levels - 1)
    finer = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    return weights * values + (1 - weights) * finer


def fill_smoothly(images: Tensor, masks: Tensor, *, levels: int | None = None) -> Tensor:
    """`images` (B, C, H, W) with the pixels of masks (B, 1, H, W) > 0 interpolated from all others.

    levels: coarser grids, as many as the size takes by default; more of them change nothing.
    Pull and push (Gortler et al. 1996, section 3.4.1): averages of the known pixels on ever coarser grids,
    brought back to where finer ones know nothing. Known pixels stay as they are; without any, 0.
    """
    if levels is None:
        levels = (max(images.shape[-2:]) - 1).bit_length()
    return _filled(images, (masks <= 0).to(images.dtype), levels)


def keep_outside(outputs: np.ndarray, sources: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Outputs where the mask is 255, sources byte for byte where it is 0, mixed in sRGB between."""
    weight = masks[..., None].astype(np.float32) / 255
    return np.rint(sources + weight * (outputs.astype(np.float32) - sources)).astype(np.uint8)


def logarithm_of(radiance: Tensor) -> Tensor:
    """The logarithm among `light_planes`, of linear radiance (B, 3, H, W)."""
    return torch.log1p(radiance.clamp(0.0, BRIGHTEST)) * (2 / LOG_BRIGHTEST) - 1


def posterior_step(x_a: Tensor, x1: Tensor, a: float, b: float, eps: Tensor, sigma: float) -> Tensor:
    """A point x_b of the bridge given its point x_a and its end x1; 0 <= a < b <= 1. At b = 1 it is x1."""
    r = (b - a) / (1 - a)
    return (1 - r) * x_a + r * x1 + sigma * ((b - a) * (1 - b) / (1 - a)) ** 0.5 * eps


def seed31(seed: int, *key: Key) -> int:
    """A seed in [0, 2**31) for programs that take one C int, such as Cycles and OpenCV."""
    return int(np.random.SeedSequence(seed, spawn_key=_spawn_key(key)).generate_state(1)[0] >> 1)


def to_picture(target: np.ndarray) -> np.ndarray:
    """Targets or outputs as uint8 of their shape: images as they are, [-1, 1], clipped, as 0..255."""
    if target.dtype == np.uint8:
        return target
    return np.rint((target.clip(-1, 1) + 1) * 127.5).astype(np.uint8)


class LatentBridgePipeline(DiffusionPipeline):
    """image -> image. Components: `unet` or `transformer`, and `vae` unless latents are those of a Haar
    transform.
    """

    _optional_components = ["unet", "transformer", "vae"]  # noqa: RUF012 (diffusers reads a list)
    model_cpu_offload_seq = "unet->transformer->vae"

    def __init__(
        self,
        unet: UNet2DModel | UNet2DConditionModel | None = None,
        transformer: DiTTransformer2DModel | SD3Transformer2DModel | FluxTransformer2DModel | None = None,
        vae: AutoencoderKL | AutoencoderTiny | None = None,
        bridge: dict[str, Any] | None = None,
    ) -> None:
        """`bridge`: the settings, JSON-able. It has a default since diffusers takes every argument without
        one for a component.
        """
        super().__init__()
        for part in (unet, transformer, vae):
            if part is not None:
                aligned(part)
        self.register_modules(unet=unet, transformer=transformer, vae=vae)
        self.register_to_config(bridge=bridge)

    @torch.no_grad()
    def __call__(
        self,
        image: Image.Image,
        mask: Image.Image | None = None,
        conditions: Mapping[str, Image.Image | str | np.ndarray] = MappingProxyType({}),
        *,
        num_inference_steps: int = 1,
        guidance_scale: float = 1.0,
        seed: int = 0,
    ) -> ImagePipelineOutput:
        """Translate one image; the output has its size, whatever that is.

        mask: white on the foreground, or on what is to be removed (it is filled with noise of `seed`), of the
        image's size. conditions: the other images that the model was trained to see, by field (a light map is
        `light`), the name of a class, a label map as a picture whose levels or palette's indices are labels,
        or an environment map in camera coordinates (the middle is what the camera looks at) as an array (H,
        W, 3) of linear radiance. num_inference_steps: network evaluations,
        twice as many where guidance_scale is neither 0 nor 1. Raises ConfigError for inputs, steps or
        guidance that the model was not trained for. The same seed gives the same image.
        """
        settings = self.config.bridge
        pixels = np.array(image.convert("RGB"))
        matte = None if mask is None else np.array(mask.convert("L"))
        self._check(pixels, matte, num_inference_steps, guidance_scale)
        if settings["removes"] and matte is not None:
            pixels = fill_noise(pixels, matte, seed31(seed, "hole"))
        autoencoder = self._autoencoder()
        # A few last bits depend on the layout in memory that convolutions are computed in.
        self.network.to(memory_format=torch.channels_last)
        x0, seen = self._prepare(autoencoder, pixels, matte, conditions)
        generator = torch.Generator().manual_seed(seed31(seed, "translate"))

        def noise() -> Tensor:
            return torch.randn(x0.shape, generator=generator).to(x0.device)

        if settings["start"] == "noise":
            x0 = noise()
        field = self._guided(autoencoder, seen, guidance_scale, noise)
        x = x0
        for step in range(num_inference_steps):
            a, b = step / num_inference_steps, (step + 1) / num_inference_steps
            t = x.new_full((1,), a)
            x1 = estimate_target(x, field(x, t), t)
            x = x1 if b == 1 else posterior_step(x, x1, a, b, noise(), settings["sigma"])
        height, width = pixels.shape[:2]
        decoded = decode_tiled(autoencoder.decode, x, autoencoder.factor)[0, :, :height, :width]
        output = to_picture(decoded.clamp(-1, 1).permute(1, 2, 0).cpu().numpy())
        if settings["outside_mask"] == "keep" and matte is not None:
            output = keep_outside(output, pixels, matte)
        return ImagePipelineOutput(images=[Image.fromarray(output)])

    def _check(self, pixels: np.ndarray, matte: np.ndarray | None, steps: int, guidance: float) -> None:
        if matte is not None and matte.shape != pixels.shape[:2]:
            raise ConfigError(
                f"the mask has shape {matte.shape}, the image {pixels.shape[:2]}",
                consequence="resizing here would move the edge",
                remedy="bring both to one size",
            )
        if steps not in self.config.bridge["steps"]:
            raise ConfigError(
                f"num_inference_steps {steps} evaluates the network at times that it was never trained at",
                consequence="the result would be an extrapolation that looks like a result",
                remedy=f"use one of {self.config.bridge['steps']}",
            )
        if guidance != 1 and not any(one.optional for one in self._seen()):
            raise ConfigError(
                f"guidance_scale {guidance:g} compares the model with itself without its conditions, and it"
                " was never trained without any",
                consequence="the comparison would be with an extrapolation",
                remedy="leave guidance_scale at 1",
            )

    @property
    def network(self) -> Backbone:
        """The denoiser."""
        return self.transformer if self.unet is None else self.unet

    def _seen(self) -> list[SeenCondition]:
        return [
            SeenCondition(**{**one, "classes": tuple(one["classes"])})
            for one in self.config.bridge["conditions"]
        ]

    def _autoencoder(self) -> Autoencoder:
        if self.vae is None:
            return HaarTransform(self.config.bridge["haar_levels"]).to(self._execution_device)
        # In float32, whatever the pipeline is in: decoders of SDXL and FLUX overflow in half precision.
        found = FolderAutoencoder(self.vae.float(), name="vae", digest="published")
        return found.to(self._execution_device)

    def _prepare(
        self,
        autoencoder: Autoencoder,
        pixels: np.ndarray,
        matte: np.ndarray | None,
        conditions: Mapping[str, Image.Image | str | np.ndarray],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The source's latent and what the network sees beside x_t, by field."""
        device = self._execution_device
        multiple = autoencoder.factor * self.config.bridge["side_multiple"]
        size = pixels.shape[:2]
        bottom, right = (-side % multiple for side in size)

        def padded(images: Tensor) -> Tensor:
            return F.pad(images, (0, right, 0, bottom), mode="replicate")

        source = _image_tensor(pixels).to(device)
        given = {}
        if matte is not None:
            masks = torch.from_numpy(matte[None, None].astype(np.float32) / np.float32(255)).to(device)
            if self.config.bridge["hole"] == "smooth":
                source = fill_smoothly(source, masks)
            given[MASK] = padded(masks)
        source = padded(source)
        x0 = autoencoder.encode(source)
        seen = {}
        for one in self._seen():
            if one.field == NOISE:
                continue
            if one.field in conditions:
                given[one.field] = self._given(one, conditions[one.field], size, source, padded)
            if one.field in given or one.field == SOURCE:
                seen[one.field] = encode_condition(one, given, x0, autoencoder)
            elif one.optional:
                seen[one.field] = x0.new_zeros(1, one.channels, *x0.shape[-2:])
            else:
                raise ConfigError(
                    f"this model was trained with a {one.field} beside the image, and none was given",
                    consequence="it would not know what to do",
                    remedy="pass it: mask=..."
                    if one.field == MASK
                    else f"pass it in conditions: {one.field}",
                )
        return x0, seen

    def _given(
        self,
        one: SeenCondition,
        value: Image.Image | str | np.ndarray,
        size: tuple[int, int],
        source: Tensor,
        padded: Any,
    ) -> Tensor:
        """A condition's image as a tensor of the padded source's size, or a class as one pixel."""
        if one.classes:
            if value not in one.classes:
                raise ConfigError(
                    f"{one.field} {value!r} is no class of this model",
                    consequence="it would not know what to make",
                    remedy=f"name one of {', '.join(one.classes)}",
                )
            return _image_tensor(np.full((1, 1, 1), one.classes.index(value), np.uint8)).to(source.device)
        if one.labels:
            return _label_tensor(one, value, size, source, padded)
        if one.as_irradiance:
            radiance = torch.from_numpy(np.asarray(value, np.float32))[None].permute(0, 3, 1, 2)
            return logarithm_of(radiance.to(source.device))
        image = _image_tensor(np.array(value.convert("RGB"))).to(source.device)
        if one.whole or image.shape[-2:] != size:
            return F.interpolate(image, source.shape[-2:], mode="bilinear", antialias=True)
        return padded(image)

    def _guided(
        self, autoencoder: Autoencoder, seen: dict[str, Tensor], guidance: float, noise: Any
    ) -> FieldFn:
        optional = {one.field for one in self._seen() if one.optional}
        without = {
            field: torch.zeros_like(value) if field in optional else value for field, value in seen.items()
        }
        return classifier_free(
            self._field(autoencoder, seen, noise), self._field(autoencoder, without, noise), guidance
        )

    def _field(self, autoencoder: Autoencoder, seen: dict[str, Tensor], noise: Any) -> FieldFn:
        """The network under conditions; one that is noise is new at every evaluation."""
        head = Head(self.config.bridge["head"])

        def field(x: Tensor, t: Tensor) -> Tensor:
            beside = [noise() if one.field == NOISE else seen[one.field] for one in self._seen()]
            inputs = torch.cat([x, *beside], dim=1).to(self.network.dtype)
            output = evaluate(self.network, inputs, t).float()
            return field_of(head, output, x, t, autoencoder.black, autoencoder.bands)

        return field
