"""A step of a classifier of noisy latents: points of a flow's path, as the flow's training draws them, and
the cross entropy of their classes. Its gradient guides the flow (`pairbridge.training.bridge.flow`).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pairbridge.datagen.core.seeds import seed31
from pairbridge.training.bridge_training.bridge_learner import BridgeLearner
from pairbridge.training.bridge_training.losses import Loss
from pairbridge.training.bridge_training.objective import Draws, path_ends
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.targets import PairKinds
from pairbridge.training.data.tensors import Batch
from pairbridge.training.engine.torch_devices import Precision, computing_in
from pairbridge.training.networks.autoencoders import Autoencoder
from pairbridge.training.networks.noisy_classifier import NoisyClassifier


class ClassLearner(BridgeLearner):
    """`loss` of the log is the cross entropy in nats, `loss_zero_one` the share of wrong answers."""

    def build_network(self, *, from_base: bool) -> NoisyClassifier:
        return build_classifier(self.config, self.autoencoder)

    def loss(
        self, config: TrainingConfig, network: nn.Module, batch: Batch, draws: Draws, kinds: PairKinds
    ) -> Loss:
        ends = path_ends(config, self.autoencoder, batch, draws, kinds)
        x_t = config.bridge.interpolate(ends.x0, ends.x1, ends.t, ends.eps)
        labels = ends.seen[config.classifies][:, :, 0, 0].argmax(dim=1)
        logits = class_logits(network, x_t, ends.t, ends.seen, config.precision)
        wrong = (logits.detach().argmax(dim=1) != labels).float()
        return Loss(F.cross_entropy(logits, labels, reduction="none"), {"zero_one": wrong})


def class_logits(
    network: nn.Module, x_t: Tensor, t: Tensor, seen: dict[str, Tensor], precision: Precision
) -> Tensor:
    """(B, classes) in float32, in the precision that the training wants."""
    with computing_in(precision, x_t.device):
        logits = network(x_t.contiguous(memory_format=torch.channels_last), t, seen)
    return logits.float()


def build_classifier(config: TrainingConfig, autoencoder: Autoencoder) -> NoisyClassifier:
    """A classifier of the autoencoder's latents, its initial weights drawn from `config.seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed31(config.seed, "weights"))
        return NoisyClassifier(
            config.denoiser,
            config.label,
            latent_channels=autoencoder.channels,
            mask_channels=autoencoder.mask_channels,
        ).to(memory_format=torch.channels_last)
