"""A network that tells a sample's class from a point of its path: the encoder's half of the UNet that learns
the field, and one linear layer on its cells, pooled to a grid (Dhariwal and Nichol, arXiv 2105.05233, pool by
attention). On the mean over all cells it learned nothing of drawn shapes.
"""

import torch
import torch.nn.functional as F
from diffusers import UNet2DModel
from torch import Tensor, nn

from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.networks.backbones import TIME_SCALE
from pairbridge.training.networks.denoisers import UNetConfig

# Sides of the grid that the last layer sees, whatever the latent's are.
_GRID = 4


class NoisyClassifier(nn.Module):
    """logits = classifier(x_t, t, seen), all on one device; x_t (B, C, h, w), t (B,), logits (B, classes),
    of which the softmax is p(class given x_t and the conditions seen). It starts as the uniform one.
    """

    def __init__(
        self, config: UNetConfig, label: ConditionConfig, *, latent_channels: int, mask_channels: int
    ) -> None:
        """`label`: the class; the config's other conditions are seen beside x_t."""
        super().__init__()
        self.fields = tuple(one.field for one in config.conditions if one.field != label.field)
        seen = sum(
            one.width(latent_channels=latent_channels, mask_channels=mask_channels)
            for one in config.conditions
            if one.field in self.fields
        )
        self.backbone = config.build(in_channels=latent_channels + seen, out_channels=latent_channels)
        # The way back up to the latent's size, which no class needs.
        del self.backbone.up_blocks, self.backbone.conv_norm_out, self.backbone.conv_out
        self.norm = nn.GroupNorm(config.norm_groups, config.widths[-1])
        self.last = nn.Linear(config.widths[-1] * _GRID**2, len(label.classes))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x_t: Tensor, t: Tensor, seen: dict[str, Tensor]) -> Tensor:
        features = _encoded(self.backbone, torch.cat([x_t, *(seen[one] for one in self.fields)], dim=1), t)
        return self.last(F.adaptive_avg_pool2d(F.silu(self.norm(features)), _GRID).flatten(1))


def _encoded(unet: UNet2DModel, inputs: Tensor, t: Tensor) -> Tensor:
    """The UNet's parts down to its middle, in the order of its own `forward`."""
    time = unet.time_embedding(unet.time_proj(t * TIME_SCALE).to(inputs.dtype))
    features = unet.conv_in(inputs)
    for block in unet.down_blocks:
        features, _ = block(features, time)
    return unet.mid_block(features, time)
