"""Examples for the page: held-out pairs of the run that a model is from."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.lighting.light_maps import MapLight
from pairbridge.datagen.shards.fields import HoleContent
from pairbridge.datagen.shards.sample import params_of
from pairbridge.pipelines.inference.found_checkpoints import newest_checkpoint, run_of
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.framing import Frame
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import Pair, PairSource
from pairbridge.training.engine.checkpoint import read_state
from pairbridge.training.published.published_folders import is_published

MOST_EXAMPLES = 4


@dataclass(frozen=True, slots=True)
class ExamplePair:
    """What a model is given of a held-out pair: image uint8 (H, W, 3), mask uint8 (H, W), conditions by
    field as `Pair` has them; `lights`: the lamps that its light map shows, where they are known.
    """

    name: str
    image: np.ndarray
    mask: np.ndarray
    conditions: dict[str, np.ndarray]
    lights: tuple[MapLight, ...] = ()


def example_pairs(source: Path) -> list[ExamplePair]:
    """Up to MOST_EXAMPLES pairs of the test split of the datasets that the model of `source` was trained on,
    at the size of its training, without what the reader puts into holes.

    None of a published folder, which holds no data, and none of a dataset that is no longer there.
    """
    if is_published(source):
        return []
    checkpoint = newest_checkpoint(source)
    state = read_state(checkpoint)
    config = TrainingConfig.model_validate(state.config)
    sources = MixConfig.model_validate(state.mix).sources
    frame = Frame((config.size, config.size))
    found: list[ExamplePair] = []
    for number, one in enumerate(sources):
        count = (MOST_EXAMPLES - len(found)) // (len(sources) - number)
        try:
            pairs = PairSource(
                one.folder(run_of(checkpoint) or Path()),
                one.recipe,
                "test",
                roles=one.roles.model_copy(update={"hole": HoleContent.VISIBLE, "masks": None}),
                label=one.label,
                conditions=config.denoiser.conditions,
            )
            found += _examples(pairs, one.name, count, frame)
        except PairbridgeError:
            # The data of a checkpoint need not be on this machine.
            continue
    return found


def _examples(pairs: PairSource, name: str, count: int, frame: Frame) -> Iterator[ExamplePair]:
    for index in pairs.spread(count):
        pair = pairs.pair(index, frame)
        yield ExamplePair(f"{name} {index}", pair.source, pair.mask, dict(pair.conditions), _lights(pair))


def _lights(pair: Pair) -> tuple[MapLight, ...]:
    stated = params_of(pair.meta).get("lights", ())
    try:
        return tuple(MapLight.from_params(light) for light in stated)
    except (KeyError, TypeError, ValueError):
        # A recipe of the user's may call other things lights.
        return ()
