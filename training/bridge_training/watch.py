"""Pictures of held-out pairs while a training runs, always of the same ones; metrics and pictures as events.

<run_dir>/pictures/step-000123.png    rows of source | output of the EMA | ground truth
<run_dir>/pictures/pairs.json         the keys of the rows, from the first to the last
<run_dir>/events/                     TensorBoard's
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.json_digest import canonical_json
from pairbridge.datagen.shards.sample import encode_field
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.framing import Frame
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import Pair, PairSource, splits_of
from pairbridge.training.data.ranks import Ranks
from pairbridge.training.data.targets import TargetKind, to_picture
from pairbridge.training.engine.learner import Learner
from pairbridge.training.networks.autoencoders import Autoencoder


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
        mix has pairs for them.
        """
        self._config, self._mix, self._run_dir, self._ranks = config, mix, run_dir, ranks
        self._autoencoder, self._steps = autoencoder, steps
        self._events: Any = None
        self._pairs = _pairs(config, mix, run_root, size_WH) if config.watch.pictures_every else []

    def begin(self, step: int) -> Self:
        """Open the event file, where one is wanted; events after `step` come again and are dropped."""
        if self._config.watch.tensorboard and self._ranks.first:
            self._events = _open_events(self._run_dir / "events", step)
        return self

    def due(self, step: int) -> bool:
        every = self._config.watch.pictures_every
        return bool(every) and step % every == 0

    def figures(self, line: Mapping[str, Any]) -> None:
        """A line of stats.jsonl as events."""
        if self._events is None:
            return
        for name, value in line.items():
            values = value if isinstance(value, dict) else {"": value}
            for part, number in values.items():
                if isinstance(number, int | float):
                    self._events.add_scalar(f"{name}/{part}".rstrip("/"), number, line["step"])

    def picture(self, step: int, learner: Learner) -> None:
        """Write the picture of `step`. Collective, for a sharded network runs on all ranks."""
        with learner.averaged():
            model = TranslationModel(self._config, self._autoencoder, learner.network)
            rows = [self._row(model, pair) for pair in self._pairs]
        learner.network.train()
        if not self._ranks.first:
            return
        sheet = np.concatenate(rows, axis=0)
        folder = self._run_dir / "pictures"
        folder.mkdir(exist_ok=True)
        write_atomically(folder / "pairs.json", [canonical_json([pair.key for pair in self._pairs])])
        write_atomically(folder / f"step-{step:06d}.png", [encode_field("sheet.png", sheet)])
        if self._events is not None:
            self._events.add_image("pictures", sheet, step, dataformats="HWC")

    def close(self) -> None:
        if self._events is not None:
            self._events.close()

    def _row(self, model: TranslationModel, pair: Pair) -> np.ndarray:
        conditions = {name: image[None] for name, image in pair.conditions.items()}
        translates = self._mix.target is TargetKind.IMAGE
        predict = model.translate_batch if translates else model.predict_batch
        output = predict(pair.source[None], pair.mask[None], conditions=conditions, steps=self._steps)[0]
        return np.concatenate([pair.source, to_picture(output), to_picture(pair.target)], axis=1)


def _pairs(config: TrainingConfig, mix: MixConfig, run_root: Path, size_WH: tuple[int, int]) -> list[Pair]:
    split, chosen = config.watch.split, []
    having = [source for source in mix.sources if split in splits_of(source.folder(run_root), source.recipe)]
    if not having:
        raise ConfigError(
            f"no source of the mix has the split {split!r}, of which watch.pictures_every wants pictures",
            consequence="pictures of training pairs would show what was learned by heart",
            remedy="set watch.split or watch.pictures_every: null, or make a dataset with this split",
        )
    for place, source in enumerate(having):
        rows = config.watch.rows // len(having) + (place < config.watch.rows % len(having))
        pairs = PairSource(
            source.folder(run_root),
            source.recipe,
            split,
            target=source.target,
            conditions=config.denoiser.conditions,
        )
        chosen += [pairs.pair(index, Frame(size_WH)) for index in pairs.spread(rows)]
    return chosen


def _open_events(folder: Path, step: int):
    try:
        # An extra, and slow to import.
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "watch.tensorboard is set, and tensorboard is not installed",
            consequence="there is nothing to write its events with",
            remedy='pip install "pairbridge[tensorboard]", or set it to false: stats.jsonl says the same',
        ) from error
    return SummaryWriter(str(folder), purge_step=step + 1)
