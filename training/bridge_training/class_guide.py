"""A trained classifier of noisy latents, as it guides a flow towards a class."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.json_digest import changed_fields
from pairbridge.training.bridge_training.class_learner import build_classifier, class_logits
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import ClassLogProbability, TranslationModel
from pairbridge.training.data.condition_specs import class_condition
from pairbridge.training.engine.checkpoint import read_state, read_tensors
from pairbridge.training.engine.torch_devices import Precision, found_device
from pairbridge.training.networks.autoencoders import build_autoencoder
from pairbridge.training.networks.noisy_classifier import NoisyClassifier

# What of a training decides the law of the points that a classifier is asked about.
_PATH = {"bridge", "timesteps", "augment"}


class ClassGuide:
    def __init__(
        self, config: TrainingConfig, network: NoisyClassifier, autoencoder_digest: str, precision: Precision
    ) -> None:
        """`network` with the weights to use; it is put in evaluation mode."""
        self.config, self._autoencoder_digest, self._precision = config, autoencoder_digest, precision
        self._network = network.eval().requires_grad_(False)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", precision: Precision = "fp32") -> Self:
        """The EMA weights of a complete checkpoint folder. Raises ConfigError where it is no classifier's or
        without that device, CheckpointError where it cannot be read.
        """
        there, state = found_device(device), read_state(folder)
        config = TrainingConfig.model_validate(state.config)
        if not config.classifies:
            raise ConfigError(
                f"{folder} is no classifier: it was trained to predict a field",
                consequence="it says nothing of how likely a class is",
                remedy="name a run of `pairbridge classifier`",
            )
        network = build_classifier(config, build_autoencoder(config.autoencoder))
        network.load_state_dict(read_tensors(folder, "ema"))
        return cls(config, network.to(there), state.inputs["autoencoder"], precision)

    def towards(self, class_name: str, flow: TranslationModel) -> ClassLogProbability:
        """log p(class given x_t and the conditions that `flow` sees), to guide `flow` with.

        Raises ConfigError for a class that it does not know, and for a flow of other points than those it was
        trained on.
        """
        label = self.config.label
        _, image = class_condition((label,), class_name)
        wanted = int(image.item())
        own = [one for one in flow.config.denoiser.conditions if one.field == label.field]
        changes = changed_fields(
            self._facts(self.config, self._autoencoder_digest, with_class=bool(own)),
            self._facts(flow.config, flow.autoencoder.digest, with_class=bool(own)),
        )
        if changes:
            raise ConfigError(
                f"the classifier was trained on the points of another flow: {'; '.join(changes)}",
                consequence="its answers would be about points that it has never seen",
                remedy="train one beside this flow: `pairbridge classifier FLOW --run OUT`",
            )
        if any(not one.dropout for one in own):
            raise ConfigError(
                f"the flow was told its {label.field} in every step of its training",
                consequence="it has no field without a class, which a classifier could bend",
                remedy=f"train the flow with a `dropout` of {label.field} in denoiser.conditions",
            )

        def log_probability(x: Tensor, t: Tensor, seen: Mapping[str, Tensor]) -> Tensor:
            logits = class_logits(self._network, x, t, seen, self._precision)
            return torch.log_softmax(logits, dim=1)[:, wanted]

        return log_probability

    def _facts(self, config: TrainingConfig, autoencoder_digest: str, *, with_class: bool) -> dict[str, Any]:
        """All that has to be the same for a flow and its classifier, JSON-able. with_class: also the names of
        the classes, and where they are read.
        """
        conditions = {
            one.field: one.model_dump(mode="json", exclude={"dropout"})
            for one in config.denoiser.conditions
            if with_class or one.field != self.config.classifies
        }
        return {
            **config.model_dump(mode="json", include=_PATH),
            "autoencoder": autoencoder_digest,
            "conditions": conditions,
        }
