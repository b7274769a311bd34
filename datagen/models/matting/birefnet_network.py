"""The network of BiRefNet: a Swin encoder at two scales, a decoder that looks at the image at every level.

Zheng et al., "Bilateral Reference for High-Resolution Dichotomous Image Segmentation" (arXiv 2401.03407).
Modules are named as in the published state dicts (ZhengPeng7/BiRefNet, MIT licence), so that those load as
they are. For inference: what serves in training alone is there for its keys and is not evaluated.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pairbridge.datagen.models.matting.deformable import DeformableConv2d
from pairbridge.datagen.models.matting.swin import Swin, SwinShape

# Widths that do not depend on the backbone.
_INNER = 64  # inside decoder and image blocks
_BRANCH = 256  # of each branch of the attention
_GRADIENT = 16
_KERNELS = (1, 3, 7)

# Tiles per side into which the image is cut where it enters at each level.
_TILES = {5: 32, 4: 16, 3: 8, 2: 4, 1: 1}


class BiRefNet(nn.Module):
    """(B, 3, H, W), ImageNet-normalised, -> logits of the foreground (B, 1, H, W).

    Sides are multiples of `birefnet_config.SIDE_STEP`, at least `MIN_SIDE`.
    """

    def __init__(self, backbone: SwinShape) -> None:
        super().__init__()
        self.bb = Swin(backbone)
        # Each map holds the backbone's features of the image and of its half-size copy.
        widths = tuple(2 * width for width in backbone.widths)
        # A sequence of one: the published layout leaves room for several.
        self.squeeze_module = nn.Sequential(_DecoderBlock(sum(widths), widths[3]))
        self.decoder = _Decoder(widths)

    def forward(self, image: Tensor) -> Tensor:
        maps = self._encoded(image)
        context = [_resized(each, maps[3]) for each in maps[:3]]
        maps[3] = self.squeeze_module(torch.cat((*context, maps[3]), dim=1))
        return self.decoder(image, maps)

    def _encoded(self, image: Tensor) -> list[Tensor]:
        half = F.interpolate(
            image, size=[side // 2 for side in image.shape[-2:]], mode="bilinear", align_corners=True
        )
        pairs = zip(self.bb(image), self.bb(half), strict=True)
        return [torch.cat((fine, _resized(coarse, fine)), dim=1) for fine, coarse in pairs]


class _Decoder(nn.Module):
    """From the coarsest map to the image: refine, gate by predicted gradients, enlarge, add the next map.

    Levels are numbered as the paper's stages: 4 is the coarsest of the decoder, `ipt_blk5` its image input.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        finest, _, _, coarsest = widths
        # Width of what each level adds from the image: level 5 enters at the coarsest map, 1 at full size.
        hints = {5: coarsest // 8, 4: coarsest // 8, 3: widths[2] // 8, 2: widths[1] // 8, 1: finest // 8}
        for level, tiles in _TILES.items():
            self.add_module(f"ipt_blk{level}", _ImageBlock(3 * tiles**2, hints[level]))
        for level in (4, 3, 2):
            entering, leaving = widths[level - 1], widths[level - 2]
            self.add_module(f"decoder_block{level}", _DecoderBlock(entering + hints[level + 1], leaving))
            self.add_module(f"lateral_block{level}", _Lateral(leaving))
            self.add_module(f"conv_ms_spvn_{level}", nn.Conv2d(leaving, 1, 1))
            gradient = (nn.Conv2d(leaving, _GRADIENT, 3, padding=1), nn.BatchNorm2d(_GRADIENT), nn.ReLU())
            self.add_module(f"gdt_convs_{level}", nn.Sequential(*gradient))
            self.add_module(f"gdt_convs_pred_{level}", nn.Sequential(nn.Conv2d(_GRADIENT, 1, 1)))
            self.add_module(f"gdt_convs_attn_{level}", nn.Sequential(nn.Conv2d(_GRADIENT, 1, 1)))
        self.decoder_block1 = _DecoderBlock(finest + hints[2], finest // 2)
        self.conv_out1 = nn.Sequential(nn.Conv2d(finest // 2 + hints[1], 1, 1))

    def forward(self, image: Tensor, maps: list[Tensor]) -> Tensor:
        out = maps[3]
        for level in (4, 3, 2):
            out = self._part("decoder_block", level)(self._with_image(out, image, level + 1))
            gradients = self._part("gdt_convs_", level)(out)
            out = out * self._part("gdt_convs_attn_", level)(gradients).sigmoid()
            beside = maps[level - 2]
            out = _resized(out, beside) + self._part("lateral_block", level)(beside)
        out = _resized(self.decoder_block1(self._with_image(out, image, 2)), image)
        return self.conv_out1(self._with_image(out, image, 1))

    def _part(self, name: str, level: int) -> nn.Module:
        return self.get_submodule(f"{name}{level}")

    def _with_image(self, features: Tensor, image: Tensor, level: int) -> Tensor:
        """Features joined by the image at full detail, as tiles of the map's size stacked as channels."""
        tiles = _tiled(image, *features.shape[-2:])
        return torch.cat((features, self._part("ipt_blk", level)(tiles)), dim=1)


class _DecoderBlock(nn.Module):
    """Two convolutions around attention over receptive fields; no activation at the end."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(in_channels, _INNER, 3, padding=1)
        self.bn_in = nn.BatchNorm2d(_INNER)
        self.dec_att = _DeformablePyramid()
        self.conv_out = nn.Conv2d(_INNER, out_channels, 3, padding=1)
        self.bn_out = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn_in(self.conv_in(x)))
        return self.bn_out(self.conv_out(self.dec_att(x)))


class _DeformablePyramid(nn.Module):
    """ASPP (Chen et al., arXiv 1706.05587) with deformable kernels of several sizes for dilated ones."""

    def __init__(self) -> None:
        super().__init__()
        self.aspp1 = _Branch(1)
        self.aspp_deforms = nn.ModuleList(_Branch(size) for size in _KERNELS)
        self.global_avg_pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(_INNER, _BRANCH, 1, bias=False),
            nn.BatchNorm2d(_BRANCH),
            nn.ReLU(),
        )
        self.conv1 = nn.Conv2d((2 + len(_KERNELS)) * _BRANCH, _INNER, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(_INNER)

    def forward(self, x: Tensor) -> Tensor:
        overall = self.global_avg_pool(x).expand(-1, -1, *x.shape[-2:])
        branches = [self.aspp1(x), *(branch(x) for branch in self.aspp_deforms), overall]
        return F.relu(self.bn1(self.conv1(torch.cat(branches, dim=1))))


class _Branch(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.atrous_conv = DeformableConv2d(_INNER, _BRANCH, size)
        self.bn = nn.BatchNorm2d(_BRANCH)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.atrous_conv(x)))


class _ImageBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, _INNER, 3, padding=1)
        self.conv_out = nn.Conv2d(_INNER, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv1(x))


class _Lateral(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def _tiled(image: Tensor, height: int, width: int) -> Tensor:
    """(B, C, H, W) -> (B, C * tiles, height, width): channel by channel, tiles in row-major order."""
    batch, channels, full_height, full_width = image.shape
    cut = image.view(batch, channels, full_height // height, height, full_width // width, width)
    return cut.transpose(3, 4).reshape(batch, -1, height, width)


def _resized(x: Tensor, like: Tensor) -> Tensor:
    """x at the height and width of `like`: corners on corners, as the weights were trained."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)
