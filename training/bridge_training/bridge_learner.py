"""What a bridge is trained with, data apart: network over the ranks, autoencoder, losses; and one step.

All of it is a training's memory: `memory_estimate` runs the same step on tensors without contents.
"""

import torch
from torch import Tensor, nn

from pairbridge.training.bridge_training.losses import Loss, PixelLoss
from pairbridge.training.bridge_training.objective import Draws, bridge_loss, draw_step, part_of
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import build_denoiser, training_buckets
from pairbridge.training.data.ranks import Ranks
from pairbridge.training.data.targets import PairKinds
from pairbridge.training.data.tensors import Batch
from pairbridge.training.engine.learner import Learner
from pairbridge.training.networks.autoencoders import Autoencoder
from pairbridge.training.networks.lora import halve_frozen


class BridgeLearner:
    def __init__(
        self,
        config: TrainingConfig,
        autoencoder: Autoencoder,
        pixel_loss: PixelLoss,
        ranks: Ranks,
        device: torch.device,
        *,
        from_base: bool,
    ) -> None:
        """from_base: whether the weights of `denoiser.base`, if it names some, are read."""
        self.config, self.ranks = config, ranks
        self.autoencoder, self.pixel_loss = autoencoder.to(device), pixel_loss.to(device)
        self.buckets = training_buckets(config, autoencoder)
        layout = config.layout
        # Sharded, the first rank's weights are everybody's: the others need no memory for theirs.
        hollow = layout.kind == "fsdp" and not ranks.first and config.denoiser.kind != "own"
        with torch.device("meta" if hollow else "cpu"):
            # Of a base that adapters are for, checkpoints hold nothing.
            reads = (from_base or config.lora is not None) and not hollow
            network = self.build_network(from_base=reads)
        if config.lora and config.precision == "bf16":
            halve_frozen(network)
        if config.gradient_checkpointing:
            network.backbone.enable_gradient_checkpointing()
        self.learner = Learner(
            network,
            config.optimiser,
            total_images=self.images_before(config.steps),
            ema=config.ema_settings(self.buckets.mean_batch_size),
            layout=layout,
            ranks=ranks,
            device=device,
        )

    def images_before(self, step: int) -> int:
        return self.buckets.samples(step)

    def step(self, number: int, batch: Batch, kinds: PairKinds) -> dict[str, Tensor]:
        """One optimiser step over a global batch, of which this rank has its rows."""
        rows = self.ranks.share(batch["batch_size"])
        draws = draw_step(
            self.config,
            self.autoencoder,
            step=number,
            samples=batch["batch_size"],
            size_HW=batch["size_WH"][::-1],
        ).rows(rows)

        def losses(network: nn.Module, part: slice) -> dict[str, Tensor]:
            loss = self.loss(self.config, network, part_of(batch, part), draws.rows(part), kinds)
            terms = {f"loss_{name}": values for name, values in loss.components.items()}
            return {"loss": loss.per_sample, **terms}

        return self.learner.descend(
            losses,
            rows=rows.stop - rows.start,
            images=self.images_before(number),
            parts=self.config.accumulate,
        )

    def build_network(self, *, from_base: bool) -> nn.Module:
        """The network with its initial weights, before it is moved, sharded or trained."""
        return build_denoiser(self.config, self.autoencoder, from_base=from_base)

    def loss(
        self, config: TrainingConfig, network: nn.Module, batch: Batch, draws: Draws, kinds: PairKinds
    ) -> Loss:
        """What is descended, of rows of a batch under their draws; `config`, the training's, or that of a
        held-out loss.
        """
        return bridge_loss(config, network, self.autoencoder, self.pixel_loss, batch, draws, kinds=kinds)
