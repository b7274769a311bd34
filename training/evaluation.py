"""Figures on pairs that training never saw, beside what costs nothing, with intervals over objects.

Methods: `model`; `source`, the untouched input; `colour_transfer` and `colour_shift_ridge` of
training.baselines. The ridge is fitted on a training split, and its penalty chosen on a validation split, of
the same dataset; nothing is chosen on the split that is judged.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datagen.atomic import write_atomically
from datagen.canonical import canonical_json
from datagen.errors import ConfigError
from datagen.sample import encode_field
from training.baselines import ColourShiftRidge, colour_transfer, fit_colour_shift_ridge
from training.checkpoint import checkpoint_folders
from training.evaluation_config import EvaluationConfig, EvaluationSource
from training.framing import Frame
from training.metrics import METRICS, bootstrap_interval, image_metrics
from training.mix_config import dataset_folder
from training.model import TranslationModel
from training.pairs import Pair, PairSource, splits_of

# (sources, masks) of a batch -> outputs; uint8 (B, H, W, 3), (B, H, W) and (B, H, W, 3).
Method = Callable[[np.ndarray, np.ndarray], Iterable[np.ndarray]]


@dataclass(frozen=True, slots=True)
class _Row:
    """What one method made of one pair."""

    key: str
    object: str
    metrics: dict[str, float]


def evaluate(
    config: EvaluationConfig,
    training_dir: Path,
    out_dir: Path,
    *,
    run_root: Path,
    on_progress: Callable[[str, int, int], None] = lambda source, done, total: None,
) -> dict[str, Any]:
    """Judge the newest checkpoint of a training; the result, JSON-able, is also `out_dir`/evaluation.json.

    Per source: `pairs`, `objects`; `methods`: method -> metric -> {mean, low, high}; `gains`: the same for
    the paired difference model - method; `ridge_penalty` (None where the recipe has no training and
    validation split to fit the ridge on, which is then left out); `samples`: PNG files, source | output |
    target from left to right, of pairs spread evenly over the split. Figures of every image are in
    `out_dir`/<source>.jsonl. `on_progress` gets source name, pairs done, pairs in all. Raises ConfigError
    where nothing was trained.
    """
    torch.set_num_threads(config.threads)
    complete = checkpoint_folders(training_dir / "checkpoints")
    if not complete:
        raise ConfigError(
            f"{training_dir} holds no checkpoint",
            consequence="there is no model to judge",
            remedy="run `pairbridge train` first; it writes checkpoints there",
        )
    model = TranslationModel.load(complete[-1])
    out_dir.mkdir(parents=True, exist_ok=True)
    result = {
        "checkpoint": complete[-1].name,
        "split": config.split,
        "size": config.size,
        "sampling_steps": config.sampling_steps,
        "sources": {
            source.name: _judge(config, source, model, out_dir, run_root, on_progress)
            for source in config.sources
        },
    }
    write_atomically(out_dir / "evaluation.json", [canonical_json(result)])
    return result


def _judge(
    config: EvaluationConfig,
    source: EvaluationSource,
    model: TranslationModel,
    out_dir: Path,
    run_root: Path,
    on_progress: Callable[[str, int, int], None],
) -> dict[str, Any]:
    folder = dataset_folder(source.path, run_root)
    frame = Frame((config.size, config.size))
    judged = PairSource(folder, source.recipe, config.split)
    count = min(len(judged), source.max_pairs or len(judged))
    ridge = _fit_ridge(folder, source, frame)
    methods = _methods(config, model, ridge)
    shown = set(np.linspace(0, count - 1, min(config.sample_images, count)).round().astype(int).tolist())

    rows: dict[str, list[_Row]] = {name: [] for name in methods}
    samples: list[str] = []
    for first in range(0, count, config.batch_size):
        places = range(first, min(first + config.batch_size, count))
        pairs = [judged.pair(place, frame) for place in places]
        sources, masks = np.stack([p.source for p in pairs]), np.stack([p.mask for p in pairs])
        for name, method in methods.items():
            for place, pair, output in zip(places, pairs, method(sources, masks), strict=True):
                figures = image_metrics(output, pair.target, pair.mask)
                rows[name].append(_Row(pair.key, object_of(pair.meta), figures))
                if name == "model" and place in shown:
                    samples.append(_write_sample(out_dir, source.name, pair, output))
        on_progress(source.name, places.stop, count)
    _write_rows(out_dir / f"{source.name}.jsonl", rows)
    return {
        "recipe": source.recipe,
        "pairs": count,
        "objects": len({row.object for row in rows["model"]}),
        "ridge_penalty": ridge.penalty if ridge else None,
        "methods": {name: _summary(config, of_method) for name, of_method in rows.items()},
        "gains": {
            name: _summary(config, rows["model"], of_method)
            for name, of_method in rows.items()
            if name != "model"
        },
        "samples": samples,
    }


def object_of(meta: dict[str, Any]) -> str:
    """What two images of one dataset must share not to count as independent: the object, or the photograph.

    The asset of role `object`, or else the first one, which is the foreground's photograph.
    """
    named = [asset["id"] for asset in meta["assets"] if asset["role"] == "object"]
    return named[0] if named else meta["assets"][0]["id"]


def _methods(
    config: EvaluationConfig, model: TranslationModel, ridge: ColourShiftRidge | None
) -> dict[str, Method]:
    methods: dict[str, Method] = {
        "model": lambda sources, masks: model.translate_batch(
            sources, masks, steps=config.sampling_steps, seed=config.seed, sampler=config.sampler
        ),
        "source": lambda sources, masks: sources,
        "colour_transfer": lambda sources, masks: map(colour_transfer, sources, masks),
    }
    if ridge:
        methods["colour_shift_ridge"] = lambda sources, masks: map(ridge.predict, sources, masks)
    return methods


def _fit_ridge(folder: Path, source: EvaluationSource, frame: Frame) -> ColourShiftRidge | None:
    recipe = source.ridge_recipe or source.recipe
    if not {"train", "validation"} <= splits_of(folder, recipe):
        if source.ridge_recipe is None:
            return None
        raise ConfigError(
            f"ridge_recipe {recipe!r} of evaluation source {source.name} lacks a train or validation split",
            consequence="the ridge could not be fitted, or its penalty not be chosen",
            remedy="name a recipe that has both, or leave ridge_recipe out",
        )

    def triples(split: str) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        pairs = PairSource(folder, recipe, split)
        for place in range(len(pairs)):
            pair = pairs.pair(place, frame)
            yield pair.source, pair.target, pair.mask

    return fit_colour_shift_ridge(triples("train"), triples("validation"))


def _summary(
    config: EvaluationConfig, rows: list[_Row], minus: list[_Row] | None = None
) -> dict[str, dict[str, float]]:
    """Mean and interval of every metric, or of the paired difference of two methods."""
    objects = [row.object for row in rows]
    summary = {}
    for metric in METRICS:
        values = np.array([row.metrics[metric] for row in rows])
        if minus is not None:
            values = values - np.array([row.metrics[metric] for row in minus])
        interval = bootstrap_interval(
            values.tolist(), objects, seed=config.seed, resamples=config.bootstrap_resamples
        )
        summary[metric] = asdict(interval)
    return summary


def _write_rows(path: Path, rows: dict[str, list[_Row]]) -> None:
    lines = [
        canonical_json({"method": name, "key": row.key, "object": row.object, **row.metrics}) + b"\n"
        for name, of_method in rows.items()
        for row in of_method
    ]
    write_atomically(path, lines)


def _write_sample(out_dir: Path, name: str, pair: Pair, output: np.ndarray) -> str:
    """Write source | output | target; the file's path relative to `out_dir`."""
    file = Path("samples") / f"{name}-{pair.key}.png"
    (out_dir / "samples").mkdir(exist_ok=True)
    strip = np.concatenate([pair.source, output, pair.target], axis=1)
    write_atomically(out_dir / file, [encode_field("strip.png", strip)])
    return file.as_posix()
