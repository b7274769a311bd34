"""Pictures of held-out pairs while a training runs, always of the same ones; what trackers are told.

<run_dir>/pictures/step-000123.png    rows of source | output of the EMA | ground truth
<run_dir>/pictures/pairs.json         the keys of the rows, from the first to the last
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.json_digest import canonical_json, leaves
from pairbridge.datagen.shards.sample import encode_field
from pairbridge.training.bridge_training.held_out import held_out_pairs
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import Pair
from pairbridge.training.data.ranks import Ranks
from pairbridge.training.data.targets import to_picture
from pairbridge.training.engine.learner import Learner
from pairbridge.training.engine.rank_agreement import first_says
from pairbridge.training.networks.autoencoders import Autoencoder
from pairbridge.training.trackers.run_facts import run_facts
from pairbridge.training.trackers.tracker_choice import Trackers, chosen_trackers, start_trackers


class PictureWatch:
    """Sees what a training does and changes nothing of it."""

    def __init__(
        self,
        config: TrainingConfig,
        mix: MixConfig,
        run_dir: Path,
        autoencoder: Autoencoder,
        *,
        run_root: Path,
        size_WH: tuple[int, int],
        ranks: Ranks,
        steps: int = 1,
    ) -> None:
        """`steps`: those of a translation. Raises ConfigError where pictures are wanted and no source of the
        mix has pairs for them, and for a tracker that is not installed.
        """
        # On every rank, so that none waits for one that refused.
        chosen_trackers(config.watch.trackers)
        self._config, self._mix, self._run_dir, self._ranks = config, mix, run_dir, ranks
        self._autoencoder, self._steps = autoencoder, steps
        self._trackers = Trackers({})
        self._pairs = []
        if config.watch.pictures_every:
            self._pairs = held_out_pairs(
                mix,
                config.watch.split,
                config.watch.rows,
                run_root=run_root,
                size_WH=size_WH,
                conditions=config.denoiser.conditions,
                asked_by="watch.pictures_every",
            )

    def begin(self, step: int, config: Mapping[str, Any], inputs: Mapping[str, Any]) -> Self:
        """Start the trackers, on the first rank, where there are steps after `step`. Collective."""
        wanted = self._config.watch.trackers

        def start() -> None:
            if step < self._config.steps and chosen_trackers(wanted):
                facts = {"mix": self._mix.model_dump(mode="json"), "inputs": inputs}
                facts |= run_facts(self._ranks.world)
                self._trackers = start_trackers(wanted, self._run_dir, step, config, facts)

        first_says(self._ranks, start)
        return self

    def due(self, step: int) -> bool:
        every = self._config.watch.pictures_every
        return bool(every) and step % every == 0

    def figures(self, line: Mapping[str, Any]) -> None:
        """A line of stats.jsonl for the trackers."""
        found = {path.replace(".", "/"): value for path, value in leaves(line)}
        numbers = {path: value for path, value in found.items() if isinstance(value, int | float)}
        self._trackers.figures(numbers.pop("step"), numbers)

    def picture(self, step: int, learner: Learner) -> None:
        """Write the picture of `step`. Collective, for a sharded network runs on all ranks."""
        with learner.averaged():
            # A sharded network's weights are gathered in the precision that it trains in.
            precision = self._config.precision
            model = TranslationModel(self._config, self._autoencoder, learner.network, precision=precision)
            rows = [self._row(model, pair) for pair in self._pairs]
        learner.network.train()
        if not self._ranks.first:
            return
        sheet = np.concatenate(rows, axis=0)
        folder = self._run_dir / "pictures"
        folder.mkdir(exist_ok=True)
        write_atomically(folder / "pairs.json", [canonical_json([pair.key for pair in self._pairs])])
        write_atomically(folder / f"step-{step:06d}.png", [encode_field("sheet.png", sheet)])
        self._trackers.picture(step, "pictures", sheet)

    def close(self) -> None:
        self._trackers.close()

    def _row(self, model: TranslationModel, pair: Pair) -> np.ndarray:
        conditions = {name: image[None] for name, image in pair.conditions.items()}
        predict = model.predict_batch if pair.kinds.target.has_gaps else model.translate_batch
        output = predict(pair.source[None], pair.mask[None], conditions=conditions, steps=self._steps)[0]
        return np.concatenate([to_picture(one) for one in (pair.source, output, pair.target)], axis=1)
