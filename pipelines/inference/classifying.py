"""`pairbridge classifier`: which flow, which class, and on which pairs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.yaml_text import Document, Origin
from pairbridge.pipelines.inference.found_checkpoints import newest_checkpoint, trained_mix
from pairbridge.pipelines.inference.training_progress import show_training
from pairbridge.pipelines.reading.config_files import apply_override, check
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.losses import LossConfig
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.ranks import process_group
from pairbridge.training.engine.checkpoint import read_state
from pairbridge.training.engine.engine_run import TrainResult
from pairbridge.training.networks.denoisers import Head, UNetConfig


def run_classifier_training(flow: str | Path, run: str | Path, settings: Sequence[str] = ()) -> TrainResult:
    """Train a classifier beside the newest checkpoint of `flow`, on the pairs that it saw, in `run`/train.

    `settings`: as `classifier_config`. Under torchrun every process makes the same call, and the first one
    speaks.
    """
    checkpoint, run = newest_checkpoint(Path(flow).absolute()), Path(run).absolute()
    config = classifier_config(TrainingConfig.model_validate(read_state(checkpoint).config), settings)
    with process_group() as ranks, show_training(config.steps, silent=not ranks.first) as show:
        return train(config, trained_mix(checkpoint), run / "train", run_root=run, on_progress=show)


def classifier_config(flow: TrainingConfig, settings: Sequence[str] = ()) -> TrainingConfig:
    """The training of a classifier of the points of `flow`: the flow's own, of which each of `settings`
    (`a.b=value`) changes a key. Its network is the flow's, where that is a small UNet, else the default one.

    Raises ConfigError unless one class condition is there, or `classifies` names one.
    """
    network = flow.denoiser if isinstance(flow.denoiser, UNetConfig) else UNetConfig()
    kept = {"base": None, "head": Head.ADD, "conditions": flow.denoiser.conditions}
    begun = flow.model_copy(
        update={
            "denoiser": network.model_copy(update=kept),
            "loss": LossConfig(),
            "lora": None,
            "latents": "encode",
            "hardware": None,
            "watch": flow.watch.model_copy(update={"pictures_every": None}),
        }
    )
    here = Origin("the flow's training", Path.cwd())
    document = Document(begun.model_dump(mode="json"), {(): here})
    for setting in settings:
        document = apply_override(document, setting)
    return check(Document(_with_class(document.value), document.origins), TrainingConfig)


def _with_class(settings: dict[str, Any]) -> dict[str, Any]:
    """`settings` with the class that is told apart, which is never withheld."""
    conditions = settings["denoiser"]["conditions"]
    classes = [one["field"] for one in conditions if isinstance(one, dict) and one.get("classes")]
    told = settings["classifies"] or (classes[0] if len(classes) == 1 else None)
    if told is None:
        example = "[{field: shape, classes: [disc, ring], read: params.shape}]"
        raise ConfigError(
            f"the flow has {'more than one class condition' if classes else 'no class condition'}",
            consequence="it is not known what the classifier is to tell apart",
            remedy=f"name one: --set classifies={classes[0]}"
            if classes
            else f"say which classes there are: --set 'denoiser.conditions={example}'",
        )
    shown = [
        {**one, "dropout": 0.0} if isinstance(one, dict) and one["field"] == told else one
        for one in conditions
    ]
    return {**settings, "classifies": told, "denoiser": {**settings["denoiser"], "conditions": shown}}
