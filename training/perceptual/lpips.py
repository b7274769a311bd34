"""LPIPS (Zhang et al., arXiv 1801.03924), version 0.1, VGG-16: the network written out, its published
weights from local files.

    d = sum_l mean_hw  sum_c  w_lc (u_lc(output) - u_lc(target))^2,     u_l = f_l / (|f_l| + 1e-10)

with f_l the activations after relu1_2, 2_2, 3_3, 4_3 and 5_3, of unit length over channels at each place.
Two files in their published layouts hold the weights: VGG-16 as torchvision names it ("features.0.weight",
...; classifier weights are ignored), and the learned w_l as the lpips package names them
("lin0.model.1.weight", ...).
"""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.json_digest import digest, file_sha256
from pairbridge.datagen.models.weights.weights_in_use import read_twice

# torchvision's numbers of the convolutions, by stage; a stage ends in the relu that is compared, then pools.
_STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
_WIDTHS = (64, 128, 256, 512, 512)
# LPIPS' own scaling of [-1, 1] images; VGG's mean and deviation in that range.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


class LpipsConfig(FrozenModel):
    vgg: Path
    """torchvision's vgg16 state dict: vgg16-397923af.pth, or the same as safetensors."""
    heads: Path
    """The lpips package's weights/v0.1/vgg.pth, or the same as safetensors."""

    @property
    def digest(self) -> str:
        return digest([file_sha256(self.vgg), file_sha256(self.heads)])


# Four poolings halve a side before the last stage.
SMALLEST_SIDE = 16


class Lpips(nn.Module):
    """Distance per sample, (B,), of two batches (B, 3, H, W) in [-1, 1] with sides of 16 pixels or more."""

    def __init__(self, features: Mapping[str, Tensor], heads: Mapping[str, Tensor]) -> None:
        """State dicts in the published layouts. Raises KeyError or RuntimeError where they do not fit."""
        super().__init__()
        widths, channels = [], 3
        for numbers, width in zip(_STAGES, _WIDTHS, strict=True):
            stage = nn.ModuleList()
            for number in numbers:
                convolution = nn.Conv2d(channels, width, 3, padding=1)
                convolution.load_state_dict(
                    {name: features[f"features.{number}.{name}"] for name in ("weight", "bias")}
                )
                stage.append(convolution)
                channels = width
            widths.append(stage)
        self.stages = nn.ModuleList(widths)
        for level, width in enumerate(_WIDTHS):
            self.register_buffer(
                f"head{level}", heads[f"lin{level}.model.1.weight"].float().reshape(1, width, 1, 1)
            )
        self.register_buffer("shift", torch.tensor(_SHIFT).reshape(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).reshape(1, 3, 1, 1))
        self.eval().requires_grad_(False)

    @classmethod
    def load(cls, config: LpipsConfig) -> "Lpips":
        """Raises ConfigError for files that are missing or hold something else."""
        try:
            return cls(_read(config.vgg), _read(config.heads))
        except (KeyError, RuntimeError) as error:
            raise _unusable(f"{config.vgg} and {config.heads}", f"weights do not fit: {error}") from error

    @classmethod
    def hollow(cls) -> "Lpips":
        """As large as any, its weights without contents, on the device that is the default."""
        features, channels = {}, 3
        for numbers, width in zip(_STAGES, _WIDTHS, strict=True):
            for number in numbers:
                features[f"features.{number}.weight"] = torch.empty(width, channels, 3, 3)
                features[f"features.{number}.bias"] = torch.empty(width)
                channels = width
        heads = {f"lin{level}.model.1.weight": torch.empty(1, w, 1, 1) for level, w in enumerate(_WIDTHS)}
        return cls(features, heads)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        distance = output.new_zeros(len(output))
        a, b = (output - self.shift) / self.scale, (target - self.shift) / self.scale
        for level, stage in enumerate(self.stages):
            if level:
                a, b = F.max_pool2d(a, 2), F.max_pool2d(b, 2)
            for convolution in stage:
                a, b = F.relu(convolution(a)), F.relu(convolution(b))
            weighted = (_unit(a) - _unit(b)).square() * getattr(self, f"head{level}")
            distance = distance + weighted.sum(dim=1).mean(dim=(1, 2))
        return distance


def _unit(features: Tensor) -> Tensor:
    # The root's derivative is infinite at zero, where all activations are off: hence the floor inside it.
    length = features.square().sum(dim=1, keepdim=True).clamp(min=1e-20).sqrt()
    return features / (length + 1e-10)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return read_twice(path, lambda: load_file(path))
        # Published as pickles: read as plain tensors, so that nothing in them can run.
        return read_twice(path, lambda: torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
        raise _unusable(str(path), str(error)) from error


def _unusable(where: str, why: str) -> ConfigError:
    return ConfigError(
        f"LPIPS weights {where}: {why.splitlines()[0] if why else 'unreadable'}",
        consequence="there is no perceptual distance to train with or to report",
        remedy="name torchvision's vgg16 state dict as `vgg` and the lpips package's v0.1 weights of vgg as"
        " `heads`, .pth or .safetensors, or leave LPIPS out",
    )
