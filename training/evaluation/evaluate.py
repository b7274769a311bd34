"""Metrics on held-out pairs, of the model and of baselines, with intervals over objects and lightings.

Methods: `model`, and the baselines of its task (pairbridge.training.evaluation.baselines). Those
that are fitted see a
training split, and are chosen on a validation split, of the same dataset; nothing is chosen on the split that
is judged.

Image figures are of 8-bit sRGB images, 0..255, centre-cropped to a square and resized to `size` as the
trainer does it (pairbridge.training.data.framing); the foreground is the pair's mask, without dilation.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pairbridge.datagen.core.atomic_files import sweep_temporaries, write_atomically
from pairbridge.datagen.core.disk_errors import disk_errors
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.folder_lock import folder_lock
from pairbridge.datagen.core.json_digest import canonical_json
from pairbridge.datagen.core.seeds import seed31
from pairbridge.datagen.shards.sample import decode_field, params_of
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.condition_specs import MASK, ConditionConfig
from pairbridge.training.data.framing import Frame, crop_and_resize
from pairbridge.training.data.mix_config import dataset_folder
from pairbridge.training.data.pairs import Pair, PairSource, splits_of
from pairbridge.training.data.targets import to_picture
from pairbridge.training.engine.checkpoint import checkpoint_folders
from pairbridge.training.evaluation.baselines import baselines
from pairbridge.training.evaluation.evaluation_config import EvaluationConfig, EvaluationSource
from pairbridge.training.evaluation.judged_pairs import JudgedPair, WorstPairs, write_rows, write_strip
from pairbridge.training.evaluation.linear_baselines import Conditions, FittingPair, Predictor
from pairbridge.training.evaluation.metrics import (
    METRICS,
    bootstrap_interval,
    depth_metrics,
    image_metrics,
    light_metrics,
    mask_metrics,
    normal_metrics,
)
from pairbridge.training.evaluation.ratios import appearance_ratios, ratio_summary
from pairbridge.training.evaluation.set_figures import SetFigures
from pairbridge.training.evaluation.tasks import Task
from pairbridge.training.evaluation.weighted_figures import WeightedFigures
from pairbridge.training.perceptual.context_deviation import ContextDeviation
from pairbridge.training.perceptual.image_classifier import ImageClassifier
from pairbridge.training.perceptual.lpips import Lpips

# Of evaluation.json. 2: counts of lightings, contrast and texture.
EVALUATION_FORMAT = 2

# Pairs of one batch -> what a method makes of each.
Method = Callable[[list[Pair]], Iterable[np.ndarray]]


def evaluate(
    config: EvaluationConfig,
    training_dir: Path,
    out_dir: Path,
    *,
    run_root: Path,
    on_progress: Callable[[str, int, int], None] = lambda source, done, total: None,
) -> dict[str, Any]:
    """Judge the newest checkpoint of a training; the result, JSON-able, is also `out_dir`/evaluation.json.

    Per source: `task`, `judged_by` (a metric), `pairs`, and how many `objects` and `lightings` these show;
    `methods`: method -> metric -> {mean, low, high}; `gains`: the same for the paired difference model -
    method; `best_baseline`: the one that comes nearest to the targets by `judged_by`, None where there is
    none; `ratios`: method -> contrast and texture -> {median, low, high, pairs}, of tasks with a foreground;
    `sets`: method -> {fid, sfid, inception_score, local_fid with a foreground, csfid with classes}, empty
    without Inception weights; `samples`: PNG files, source | output | target from left to right, of pairs
    spread evenly over the split; `worst`: the same of the pairs that the model does worst, worst first.
    Figures of every image are in `out_dir`/<source>.csv. `on_progress` gets source name, pairs done, pairs in
    all. Raises ConfigError where nothing was trained, FolderLocked while another process judges into
    `out_dir`.
    """
    complete = checkpoint_folders(training_dir / "checkpoints")
    if not complete:
        raise ConfigError(
            f"{training_dir} holds no checkpoint",
            consequence="there is no model to judge",
            remedy="run `pairbridge train` first; it writes checkpoints there",
        )
    torch.set_num_threads(config.threads)
    model = TranslationModel.load(complete[-1], config.device, config.precision)
    out_dir.mkdir(parents=True, exist_ok=True)
    with disk_errors(out_dir), folder_lock(out_dir, "evaluate"):
        sweep_temporaries(out_dir)
        result = {
            "format": EVALUATION_FORMAT,
            "checkpoint": complete[-1].name,
            "split": config.split,
            "size": config.size,
            "precision": config.precision,
            "sampling_steps": config.sampling_steps,
            "sampler": config.sampler.model_dump(mode="json"),
            "sources": {
                source.name: _judge(config, source, model, out_dir, run_root, on_progress)
                for source in config.sources
            },
        }
        write_atomically(out_dir / "evaluation.json", [canonical_json(result)])
    return result


def checked_evaluation(result: dict[str, Any], path: Path) -> dict[str, Any]:
    """A result as it was read from `path`, or a file that holds it. Raises ConfigError for another format."""
    if result.get("format") != EVALUATION_FORMAT:
        raise ConfigError(
            f"{path} holds an evaluation of format {result.get('format', 1)}, this version reads "
            f"{EVALUATION_FORMAT}",
            consequence="it lacks figures that are shown here",
            remedy="judge again: `pairbridge run` does so by itself, `pairbridge evaluate` for a training",
        )
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
    conditions = _given(source, model.config.denoiser.conditions)
    judged = PairSource(
        folder,
        source.recipe,
        config.split,
        roles=source.roles,
        label=source.label,
        conditions=conditions,
    )
    if judged.kinds.target not in source.task.judges:
        raise ConfigError(
            f"evaluation source {source.name} leads to {judged.roles.target}, of kind {judged.kinds.target},"
            f" and the metrics of task {source.task} are of {' or '.join(source.task.judges)}",
            consequence="figures would compare unlike things",
            remedy="name another target under its `roles`, or another `task`",
        )
    count = min(len(judged), source.max_pairs or len(judged))
    fitted_on = dataset_folder(source.fit_path, run_root) if source.fit_path else folder
    fitting = {
        split: _FittingPairs(fitted_on, source, split, frame, conditions)
        for split in _fitting_splits(fitted_on, source)
    }
    methods = _methods(config, source, model, frame, conditions, fitting, has_noise=judged.has_noise)
    shown = set(np.linspace(0, count - 1, min(config.sample_images, count)).round().astype(int).tolist())

    rows: dict[str, list[JudgedPair]] = {name: [] for name in methods}
    samples: list[str] = []
    worst = WorstPairs(config.worst_images, source.task)
    sets = None
    if source.task.makes_pictures and config.inception:
        sets = SetFigures.load(config.inception, local=source.task.has_foreground, device=model.device)
    weighted = _weighted_figures(config, source, model.device)
    for first in range(0, count, config.batch_size):
        places = range(first, min(first + config.batch_size, count))
        pairs = [judged.pair(place, frame) for place in places]
        for name, method in methods.items():
            outputs = list(method(pairs))
            figures_of = [
                pair_metrics(source.task, output, pair) | by_weights
                for output, pair, by_weights in zip(outputs, pairs, weighted(outputs, pairs), strict=True)
            ]
            for place, pair, output, figures in zip(places, pairs, outputs, figures_of, strict=True):
                rows[name].append(
                    JudgedPair(
                        pair.key,
                        object_of(pair.meta),
                        lighting_of(pair.meta),
                        figures,
                        pair_ratios(source.task, output, pair),
                    )
                )
                if name == "model":
                    worst.offer(figures, place, pair, output)
                    if place in shown:
                        samples.append(write_strip(out_dir, "samples", source.name, pair, output))
            if sets:
                sets.add(name, outputs, pairs, _classes(pairs, conditions))
        on_progress(source.name, places.stop, count)
    write_rows(out_dir / f"{source.name}.csv", rows)
    summaries = {name: _summary(config, of_method) for name, of_method in rows.items()}
    return {
        "recipe": source.recipe,
        "task": source.task.value,
        "judged_by": source.task.judged_by,
        "pairs": count,
        "objects": len({row.object for row in rows["model"]}),
        "lightings": len({row.lighting for row in rows["model"]} - {""}),
        "methods": summaries,
        "best_baseline": _best_baseline(source.task, summaries),
        "gains": {
            name: _summary(config, rows["model"], of_method)
            for name, of_method in rows.items()
            if name != "model"
        },
        "ratios": {name: _ratios(config, of_method) for name, of_method in rows.items()}
        if source.task.has_foreground
        else {},
        "sets": sets.figures() if sets else {},
        "samples": samples,
        "worst": [
            write_strip(out_dir, "worst", source.name, pair, output) for pair, output in worst.ordered()
        ],
    }


def pair_metrics(task: Task, output: np.ndarray, pair: Pair) -> dict[str, float]:
    """The figures of one output by its task. Raises ConfigError for depth that is a picture."""
    if task is Task.REGION:
        return mask_metrics(output, pair.target)
    if task is Task.ENVIRONMENT:
        return light_metrics(output, pair.target)
    if task is Task.NORMALS:
        return normal_metrics(output, pair.target, pair.valid == 255)
    if task is Task.DEPTH:
        if pair.depth is None:
            raise ConfigError(
                f"{pair.key}: its depth is a picture without a unit",
                consequence="AbsRel compares distances, and grey levels are none",
                remedy="judge on generated geometry, which stores depth.npy",
            )
        return depth_metrics(output[..., 0], pair.depth, pair.valid == 255)
    return image_metrics(output, pair.target, pair.mask if task.has_foreground else None)


def pair_ratios(task: Task, output: np.ndarray, pair: Pair) -> dict[str, float]:
    """Contrast and texture of one output over its target's, where the task has a foreground."""
    return appearance_ratios(output, pair.target, pair.mask) if task.has_foreground else {}


def object_of(meta: dict[str, Any]) -> str:
    """What two images of one dataset must share not to count as independent: the object, or the photograph.

    Of a rendered scene its first object, which all pairs of the scene share, whichever of them are removed;
    else the asset of role `object`, or the first one, which is the foreground's photograph.
    """
    objects = params_of(meta).get("objects") if "params" in meta else None
    if objects:
        return objects[0]["id"]
    named = [asset["id"] for asset in meta["assets"] if asset["role"] == "object"]
    return named[0] if named else meta["assets"][0]["id"]


def lighting_of(meta: dict[str, Any]) -> str:
    """What two images of one dataset must share to be lit alike: the target's environment map, or what stands
    behind a photograph's foreground. Empty where each image has a light of its own: lamps, a photograph.
    """
    assets = {asset["role"]: asset["id"] for asset in meta["assets"]}
    return next((assets[role] for role in _LIGHTING_ROLES if role in assets), "")


# Of assets, in meta.json.
_LIGHTING_ROLES = ("lighting of the target", "lighting", "background")


def _weighted_figures(
    config: EvaluationConfig, source: EvaluationSource, device: torch.device
) -> WeightedFigures:
    pictures, removes = source.task.makes_pictures, source.task is Task.REMOVAL
    return WeightedFigures(
        lpips=Lpips.load(config.lpips).to(device) if pictures and config.lpips else None,
        context=ContextDeviation.load(config.dinov2, device) if removes and config.dinov2 else None,
        classifier=ImageClassifier.load(source.classifier, device) if source.classifier else None,
    )


def _methods(
    config: EvaluationConfig,
    source: EvaluationSource,
    model: TranslationModel,
    frame: Frame,
    conditions: tuple[ConditionConfig, ...],
    fitting: "dict[str, _FittingPairs]",
    *,
    has_noise: bool,
) -> dict[str, Method]:
    def of_model(pairs: list[Pair]) -> np.ndarray:
        predict = model.translate_batch if source.task.makes_pictures else model.predict_batch
        return predict(
            np.stack([pair.source for pair in pairs]),
            np.stack([pair.mask for pair in pairs]),
            steps=config.sampling_steps,
            seed=[seed31(config.seed, "evaluate", pair.key) for pair in pairs],
            sampler=config.sampler,
            guidance=config.guidance,
            conditions={
                name: np.stack([pair.conditions[name] for pair in pairs]) for name in pairs[0].conditions
            },
        )

    trivial = baselines(
        source.task,
        fitting.get("train"),
        fitting.get("validation"),
        source.baselines,
        against=source.against,
    )
    if has_noise:
        # The source shows noise where it is judged.
        trivial.pop("source", None)

    def of_baseline(predict: Predictor) -> Method:
        return lambda pairs: [
            predict(to_picture(pair.source), pair.mask, _seen(pair, conditions)) for pair in pairs
        ]

    theirs = {name: _of_outputs(name, folder, frame) for name, folder in source.outputs.items()}
    return {"model": of_model} | {name: of_baseline(predict) for name, predict in trivial.items()} | theirs


def _of_outputs(name: str, folder: Path, frame: Frame) -> Method:
    """Another method by its outputs, framed as pairs are where they have not that size yet."""

    def read(pair: Pair) -> np.ndarray:
        path = folder / f"{pair.key}.png"
        try:
            output = decode_field("output.png", path.read_bytes())
        except FileNotFoundError as error:
            raise ConfigError(
                f"{path} is not there, and `outputs` name it as what {name} made of {pair.key}",
                consequence="methods would be compared on different pairs",
                remedy="put it there: `pairbridge export --to folders` has the sources under these names",
            ) from error
        return output if output.shape[1::-1] == frame.size_WH else crop_and_resize(output, frame)

    return lambda pairs: [read(pair) for pair in pairs]


def _given(source: EvaluationSource, conditions: tuple[ConditionConfig, ...]) -> tuple[ConditionConfig, ...]:
    """The conditions less those that `source` withholds. Raises ConfigError for one that may not be."""
    optional = {one.field for one in conditions if one.dropout}
    if wrong := sorted(set(source.withheld) - optional):
        raise ConfigError(
            f"evaluation source {source.name} withholds {wrong[0]}, which the model was never trained"
            " without",
            consequence="its outputs would mean nothing",
            remedy=f"withhold {' or '.join(sorted(optional)) or 'nothing'}, or train with a `dropout` of it",
        )
    return tuple(one for one in conditions if one.field not in source.withheld)


def _classes(pairs: list[Pair], conditions: tuple[ConditionConfig, ...]) -> list[tuple[int, ...]]:
    """What each pair is of, where the network is told a class; else nothing."""
    named = [one.field for one in conditions if one.classes]
    return [tuple(pair.conditions[one].item() for one in named) for pair in pairs] if named else []


def _fitting_splits(folder: Path, source: EvaluationSource) -> set[str]:
    recipe = source.fit_recipe or source.recipe
    there = splits_of(folder, recipe) & {"train", "validation"}
    if (source.fit_recipe or source.fit_path) and "train" not in there:
        raise ConfigError(
            f"fit_recipe {recipe!r} of evaluation source {source.name} has no train split",
            consequence="baselines could not be fitted",
            remedy="name a recipe that has one, or leave fit_recipe and fit_path out",
        )
    return there


@dataclass(frozen=True, slots=True)
class _FittingPairs:
    """Pairs to fit baselines on, read anew each time."""

    folder: Path
    source: EvaluationSource
    split: str
    frame: Frame
    conditions: tuple[ConditionConfig, ...]

    def __iter__(self) -> Iterator[FittingPair]:
        recipe = self.source.fit_recipe or self.source.recipe
        pairs = PairSource(
            self.folder,
            recipe,
            self.split,
            roles=self.source.roles,
            label=self.source.label,
            conditions=self.conditions,
        )
        for place in range(len(pairs)):
            pair = pairs.pair(place, self.frame)
            holds = np.ones(pair.mask.shape, bool) if pair.valid is None else pair.valid == 255
            yield FittingPair(
                to_picture(pair.source), pair.target, pair.mask, _seen(pair, self.conditions), holds
            )


def _seen(pair: Pair, conditions: Sequence[ConditionConfig]) -> Conditions:
    """What the network sees beside the source, its mask too if it does."""
    sees_mask = any(one.field == MASK for one in conditions)
    return {**pair.conditions, **({MASK: pair.mask} if sees_mask else {})}


def _best_baseline(task: Task, summaries: dict[str, dict[str, dict[str, float]]]) -> str | None:
    means = {name: figures[task.judged_by]["mean"] for name, figures in summaries.items() if name != "model"}
    if not means:
        return None
    return (max if METRICS[task.judged_by].more else min)(means, key=means.__getitem__)


def _summary(
    config: EvaluationConfig, rows: list[JudgedPair], minus: list[JudgedPair] | None = None
) -> dict[str, dict[str, float]]:
    """Mean and interval of every metric, or of the paired difference of two methods."""
    objects, lightings = [row.object for row in rows], [row.lighting for row in rows]
    summary = {}
    for metric in rows[0].metrics:
        values = np.array([row.metrics[metric] for row in rows])
        if minus is not None:
            values = values - np.array([row.metrics[metric] for row in minus])
        interval = bootstrap_interval(
            values.tolist(), objects, lightings, seed=config.seed, resamples=config.bootstrap_resamples
        )
        summary[metric] = asdict(interval)
    return summary


def _ratios(config: EvaluationConfig, rows: list[JudgedPair]) -> dict[str, dict[str, float]]:
    return ratio_summary(
        [row.ratios for row in rows],
        [row.object for row in rows],
        [row.lighting for row in rows],
        seed=config.seed,
        resamples=config.bootstrap_resamples,
    )
