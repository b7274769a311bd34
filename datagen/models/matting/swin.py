"""Swin Transformer as a pyramid of features: BiRefNet's backbone.

Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows" (arXiv 2103.14030), in
the form for dense prediction: any size of image, padded to whole windows, one normalised map per stage.
Names of modules are those of the published state dicts. For inference: no dropout, no stochastic depth.
Maps are (B, H, W, C) inside and (B, C, H, W) at the border.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = 4  # pixels per side of what becomes one token
MLP_RATIO = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SwinShape:
    """Width of the first stage (it doubles with each), blocks and heads per stage, tokens per window side."""

    embed_dim: int
    depths: tuple[int, int, int, int]
    num_heads: tuple[int, int, int, int]
    window: int

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the four maps, finest first."""
        return tuple(self.embed_dim << stage for stage in range(len(self.depths)))


SWIN_TINY = SwinShape(embed_dim=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24), window=7)
SWIN_LARGE = SwinShape(embed_dim=192, depths=(2, 2, 18, 2), num_heads=(6, 12, 24, 48), window=12)


class Swin(nn.Module):
    """Four maps at 1/4, 1/8, 1/16 and 1/32 of the image's size, sides rounded up."""

    def __init__(self, shape: SwinShape) -> None:
        super().__init__()
        self.patch_embed = _PatchEmbedding(shape.embed_dim)
        last = len(shape.depths) - 1
        self.layers = nn.ModuleList(
            _Stage(width, depth, heads, shape.window, merges=stage < last)
            for stage, (width, depth, heads) in enumerate(
                zip(shape.widths, shape.depths, shape.num_heads, strict=True)
            )
        )
        for stage, width in enumerate(shape.widths):
            self.add_module(f"norm{stage}", nn.LayerNorm(width))

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W), ImageNet-normalised -> the four maps (B, C, h, w), finest first."""
        tokens = self.patch_embed(image)
        maps = []
        for stage, layer in enumerate(self.layers):
            tokens = layer(tokens)
            maps.append(self.get_submodule(f"norm{stage}")(tokens).permute(0, 3, 1, 2).contiguous())
            if layer.downsample is not None:
                tokens = layer.downsample(tokens)
        return maps


class _PatchEmbedding(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)
        self.norm = nn.LayerNorm(width)

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        padded = F.pad(image, (0, -width % PATCH, 0, -height % PATCH))
        return self.norm(self.proj(padded).permute(0, 2, 3, 1))


class _Stage(nn.Module):
    """Blocks that alternate between aligned and shifted windows; `downsample` is applied by the caller."""

    def __init__(self, width: int, depth: int, heads: int, window: int, *, merges: bool) -> None:
        super().__init__()
        self.window = window
        self.blocks = nn.ModuleList(
            _Block(width, heads, window, shift=0 if index % 2 == 0 else window // 2) for index in range(depth)
        )
        self.downsample = _PatchMerging(width) if merges else None

    def forward(self, tokens: Tensor) -> Tensor:
        height, width = (side + -side % self.window for side in tokens.shape[1:3])
        apart = _separation(height, width, self.window, tokens)
        for block in self.blocks:
            tokens = block(tokens, apart)
        return tokens


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, window: int, *, shift: int) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(width)
        self.attn = _WindowAttention(width, heads, window)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = _Mlp(width)

    def forward(self, tokens: Tensor, apart: Tensor) -> Tensor:
        tokens = tokens + self._attended(self.norm1(tokens), apart)
        return tokens + self.mlp(self.norm2(tokens))

    def _attended(self, tokens: Tensor, apart: Tensor) -> Tensor:
        batch, height, width, _ = tokens.shape
        # Padding takes part in the attention, unmasked, as it did when the weights were trained.
        padded = F.pad(tokens, (0, 0, 0, -width % self.window, 0, -height % self.window))
        size = padded.shape
        if self.shift:
            padded = padded.roll((-self.shift, -self.shift), (1, 2))
        attended = self.attn(_windows(padded, self.window), apart.repeat(batch, 1, 1) if self.shift else None)
        merged = _from_windows(attended, self.window, size)
        if self.shift:
            merged = merged.roll((self.shift, self.shift), (1, 2))
        return merged[:, :height, :width]


class _WindowAttention(nn.Module):
    """Self-attention inside each window, with a learned bias per head and relative position."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        # A buffer of the published layout, although it follows from the window.
        self.register_buffer("relative_position_index", _relative_positions(window))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, apart: Tensor | None) -> Tensor:
        """tokens: (windows, N, C); apart: (windows, N, N), added to the attention's logits."""
        windows, count, width = tokens.shape
        query, key, value = self.qkv(tokens).view(windows, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)[None]
        if apart is not None:
            bias = bias + apart[:, None]
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.proj(attended.transpose(1, 2).reshape(windows, count, width))


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.fc2 = nn.Linear(MLP_RATIO * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(tokens)))


class _PatchMerging(nn.Module):
    """Each 2x2 tokens become one of twice the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(4 * width)

    def forward(self, tokens: Tensor) -> Tensor:
        height, width = tokens.shape[1:3]
        even = F.pad(tokens, (0, 0, 0, width % 2, 0, height % 2))
        # Down before across: the order in which the published weights expect the four.
        quad = [even[:, down::2, across::2] for across in (0, 1) for down in (0, 1)]
        return self.reduction(self.norm(torch.cat(quad, dim=-1)))


def _windows(tokens: Tensor, side: int) -> Tensor:
    """(B, H, W, C) of whole windows -> (B * windows, side * side, C)."""
    batch, height, width, channels = tokens.shape
    cut = tokens.view(batch, height // side, side, width // side, side, channels)
    return cut.transpose(2, 3).reshape(-1, side * side, channels)


def _from_windows(windows: Tensor, side: int, size: torch.Size) -> Tensor:
    """The inverse of `_windows`; `size` is (B, H, W, C)."""
    batch, height, width, channels = size
    cut = windows.view(batch, height // side, width // side, side, side, channels)
    return cut.transpose(2, 3).reshape(size)


def _separation(height: int, width: int, window: int, like: Tensor) -> Tensor:
    """(windows, N, N): 0 within a region, -inf between regions that only the shift's wrap made neighbours."""
    rows, columns = (_regions(side, window, like.device) for side in (height, width))
    regions = _windows((3 * rows[:, None] + columns)[None, :, :, None], window).squeeze(-1)
    differ = regions[:, :, None] != regions[:, None, :]
    return torch.zeros_like(differ, dtype=like.dtype).masked_fill(differ, float("-inf"))


def _regions(side: int, window: int, device: torch.device) -> Tensor:
    """After the shift: 0 before the last window, 1 in its part that belongs here, 2 in what came around."""
    place = torch.arange(side, device=device)
    return (place >= side - window).long() + (place >= side - window // 2).long()


def _relative_positions(window: int) -> Tensor:
    """(N, N): the row of the bias table for each pair of tokens of a window, in row-major order."""
    rows, columns = (
        axis.flatten() for axis in torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    )
    down = rows[:, None] - rows[None, :] + window - 1
    across = columns[:, None] - columns[None, :] + window - 1
    return down * (2 * window - 1) + across
