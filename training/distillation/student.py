"""A student from its teacher: the same network, with channels for noise beside its conditions."""

from collections.abc import Sequence

import torch
from torch import nn

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.user_code import UserCode
from pairbridge.training.bridge.timesteps import (
    TIME_TOLERANCE,
    DiscreteTimesteps,
    LogUniformTimesteps,
    Timesteps,
    UniformTimesteps,
)
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel, build_denoiser
from pairbridge.training.data.condition_specs import NOISE, ConditionConfig
from pairbridge.training.distillation.distillation_config import DistillationConfig
from pairbridge.training.networks.base_weights import resize_inputs
from pairbridge.training.networks.denoisers import Denoiser

# Times to try a distribution at: seldom ones that the teacher does not know are no harm.
_TRIED = 10_000


def student_config(teacher: TrainingConfig, config: DistillationConfig) -> TrainingConfig:
    """The student as a training's config: what translates, publishes and evaluates it reads.

    Raises ConfigError for a teacher without a source.
    """
    own = [name for name in ("bridge", "denoiser") if isinstance(getattr(teacher, name), UserCode)]
    if own:
        raise ConfigError(
            f"the teacher has a {own[0]} of the user's own",
            consequence="its objective, or where its network takes noise, is not known",
            remedy=f"distil a teacher with another {own[0]}.kind",
        )
    if teacher.bridge.start == "noise":
        raise ConfigError(
            "the teacher is a flow from noise (bridge.start: noise)",
            consequence="there is no source that a student could be told",
            remedy="distil a bridge from a source",
        )
    conditions = [one for one in teacher.denoiser.conditions if one.field != NOISE]
    if config.noise:
        conditions.append(ConditionConfig(field=NOISE))
    # The weights come from the teacher, which had those of its base.
    denoiser = teacher.denoiser.model_copy(update={"conditions": tuple(conditions), "base": None})
    count = len(config.student_timesteps)
    return teacher.model_copy(
        update={
            "seed": config.seed,
            "steps": config.steps,
            "batch_size": config.batch_size or teacher.batch_size,
            "latents": "encode",
            "watch": config.watch,
            "timesteps": DiscreteTimesteps(times=config.student_timesteps, weights=(1 / count,) * count),
            "denoiser": denoiser,
        }
    )


def even_steps(times: Sequence[float]) -> int:
    """N where `times` are k / N, which samplers know by their number alone; else 1, the first of them."""
    even = all(abs(t - k / len(times)) <= TIME_TOLERANCE for k, t in enumerate(times))
    return len(times) if even else 1


def build_student(teacher: TranslationModel, config: TrainingConfig) -> Denoiser:
    """A denoiser that gives what the teacher gives, whatever its noise is."""
    with _place(teacher):
        student = build_denoiser(config, teacher.autoencoder)
    weights = teacher.denoiser.state_dict()
    reads = f"{config.denoiser.component}.{config.denoiser.surgery.input}"
    # Noise is the last of the conditions.
    weights[reads] = resize_inputs(weights[reads], student.state_dict()[reads].shape[1])
    student.load_state_dict(weights)
    return student


def freeze_teacher(teacher: TranslationModel, *, gathered_in_bf16: bool) -> None:
    """No more gradients; where it is evaluated in bf16, the weights that autocast would halve each time are
    halved for good, to the same values.

    gathered_in_bf16: its shards, which are halved on their way then: all weights.
    """
    network = teacher.denoiser.requires_grad_(False)
    if teacher.config.precision == "bf16":
        for part in network.modules():
            if gathered_in_bf16 or isinstance(part, nn.Conv2d | nn.Linear):
                for weight in part.parameters(recurse=False):
                    weight.data = weight.data.to(torch.bfloat16)


def build_critic(teacher: TranslationModel) -> Denoiser:
    """The teacher again, to be trained."""
    with _place(teacher):
        critic = build_denoiser(teacher.config, teacher.autoencoder)
    critic.load_state_dict(teacher.denoiser.state_dict())
    return critic


def _place(teacher: TranslationModel) -> torch.device:
    """The host; beside a hollow teacher the meta device: another rank has the weights."""
    return torch.device("meta" if next(teacher.denoiser.parameters()).is_meta else "cpu")


def matching_timesteps(teacher: TrainingConfig, config: DistillationConfig) -> Timesteps:
    """The times to match at. Raises ConfigError for times that the teacher was never trained at."""
    if config.timesteps is None:
        return _default_timesteps(teacher)
    times = config.timesteps.sample(_TRIED, torch.Generator().manual_seed(0)).unique().tolist()
    untrained = [t for t in times if not teacher.timesteps.trained(t)]
    if len(untrained) > 0.01 * len(times):
        raise ConfigError(
            f"timesteps draws times such as t = {untrained[0]:.4f}, where the teacher was never trained",
            consequence="the student would learn what the teacher makes of times it does not know",
            remedy="leave timesteps out: the default fits the teacher; or train a teacher at all times"
            " (timesteps: {kind: uniform})",
        )
    return config.timesteps


def timesteps_of(sigma: float, cap: float) -> LogUniformTimesteps:
    """Half of them as early as paths to targets up to ten units of the latent apart part at this sigma, half
    at any time.
    """
    return LogUniformTimesteps(low=min(1e-3, max(1e-7, (sigma / 10) ** 2)), cap=cap, uniform_share=0.5)


def _default_timesteps(teacher: TrainingConfig) -> Timesteps:
    own, sigma = teacher.timesteps, teacher.bridge.sigma
    if not sigma or not isinstance(own, UniformTimesteps | LogUniformTimesteps):
        return own
    return timesteps_of(sigma, own.cap)
