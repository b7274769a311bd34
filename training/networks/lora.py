"""Low-rank adapters (LoRA, arXiv 2106.09685) on a denoiser with published weights, by peft.

What trains is the adapters, and whole the input and the output layer, which are small: the one reads
conditions that the published weights never saw, the other starts at zero. All other weights stay those of the
base, which a checkpoint therefore names by its digest and does not hold.
"""

import torch
from pydantic import Field, field_validator
from torch import nn

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.extras import require
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.training.networks.denoisers import Denoiser

_NAME = "default"


class LoraConfig(FrozenModel):
    """Adapters on some of a network's layers; its other weights are frozen."""

    rank: int = Field(default=32, ge=1)
    """Rank of the adapters: more has more to learn with."""
    alpha: float = Field(default=32.0, gt=0)
    """Scale of the adapters: what they add is multiplied by alpha / rank."""
    targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")
    """Ends of the names of the layers that get one, linear or convolution. Those of attention by default;
    `ff.net.0.proj` and `ff.net.2` are a transformer's feed-forward layers."""

    @field_validator("targets")
    @classmethod
    def _check(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        if not targets:
            raise ValueError("targets are empty: there is nothing to adapt")
        return targets


def add_adapters(denoiser: Denoiser, config: LoraConfig) -> None:
    """Adapters on `denoiser`, in place, drawn from the global generator; what else trains is said above.

    They change nothing yet. Raises ConfigError for a target that no layer is called, and without peft.
    """
    require("lora", by="lora in a training's config", consequence="there are no adapters to train")
    # An extra.
    import peft

    backbone, surgery = denoiser.backbone, denoiser.config.surgery
    whole = (surgery.input.removesuffix(".weight"), surgery.head.removesuffix("."))
    layers = [name for name, part in backbone.named_modules() if isinstance(part, nn.Linear | nn.Conv2d)]
    for target in config.targets:
        if not any(name == target or name.endswith(f".{target}") for name in layers if name not in whole):
            raise ConfigError(
                f"lora.targets has {target!r}, and no layer of the network has a name that ends so",
                consequence="it would not be adapted, and nothing would say so",
                remedy=f"name ends such as those of {', '.join(sorted(set(layers) - set(whole))[:4])}",
            )
    peft.inject_adapter_in_model(
        peft.LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,
            target_modules=list(config.targets),
            exclude_modules=list(whole),
        ),
        backbone,
        _NAME,
    )
    for name in whole:
        backbone.get_submodule(name).requires_grad_(True)


def halve_frozen(denoiser: Denoiser) -> None:
    """Frozen linear layers and convolutions rest in bf16, in place, for a network that runs under autocast to
    it: what autocast would make of them at every use, and every output the same.
    """
    for part in denoiser.backbone.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            for weight in part.parameters(recurse=False):
                if not weight.requires_grad:
                    weight.data = weight.data.to(torch.bfloat16)


@torch.no_grad()
def merge_adapters(denoiser: Denoiser) -> None:
    """The adapters become part of the weights that they are beside, in place: a plain network, all of it
    trainable again.
    """
    require("lora", by="a training with lora", consequence="its adapters cannot be merged into the base")
    # An extra.
    from peft.tuners.lora import LoraLayer

    backbone = denoiser.backbone
    for name, part in list(backbone.named_modules()):
        if isinstance(part, LoraLayer):
            part.merge(safe_merge=True)
            backbone.set_submodule(name, part.get_base_layer())
    del backbone.peft_config
    denoiser.requires_grad_(True)
