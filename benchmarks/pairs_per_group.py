"""How many of the ordered pairs of a group's lightings are worth their disk? Curves at equal renders.

    python -m benchmarks.pairs_per_group [--runs runs] [--out docs/benchmarks]

A group of four lightings is four renders of one view, and gives up to twelve ordered pairs, each of which
costs under 1 % beside its renders. One dataset keeps all twelve; training sets of the first 4 and of all of
each group, in a drawn order, are of the same renders. The same network is trained on each for the same number
of steps, from three seeds, and judged on unseen families under unseen maps by its gain in foreground PSNR
over the untouched source. Intervals of 95 % are of the crossed bootstrap over objects and lightings, of the
mean over seeds, and paired between numbers of pairs.
"""

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.shards.sample import Pair as Fields
from pairbridge.pipelines.generation.generate import generate
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.framing import Frame
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import Pair, PairSource
from pairbridge.training.evaluation.evaluate import lighting_of, object_of
from pairbridge.training.evaluation.metrics import bootstrap_interval, foreground_mse, psnr
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

NAME = "pairs-per-group"
SIZE_WH = (64, 64)
LIGHTINGS = 4
ALL = LIGHTINGS * (LIGHTINGS - 1)
KEPT = (4, 12)
SEEDS = (0, 1, 2)
STEPS = (200, 400)
DATASET = {
    "name": NAME,
    "seed": 23,
    "lightings": {
        "width": 512,
        "outdoors": {"train": 12, "test": 6},
        "skies": {"train": 12, "test": 4},
        "rigs": {"train": 8, "test": 4},
    },
    "render": {"samples": 16},
    "groups_per_shard": 20,
    "recipes": {
        "relighting": {
            "kind": "relighting_swap",
            "size_WH": list(SIZE_WH),
            "groups": {"train": 240, "test": 60},
            "lightings_per_group": LIGHTINGS,
            "pairs_per_group": ALL,
            "standing": 0.0,
            "strength": [0.81, 1.23],
            "tint": 0.05,
            "finish": None,
            "camera": {"defocus": None},
        }
    },
}
TRAINING = {
    "steps": STEPS[-1],
    "batch_size": 16,
    "size": SIZE_WH[0],
    "autoencoder": {"kind": "haar", "levels": 2},
    "bridge": {"sigma": 0.02, "field": "drift"},
    "timesteps": {"kind": "discrete", "times": [0.0], "weights": [1.0]},
    "denoiser": {"widths": [32, 48, 64], "layers_per_block": 1, "conditions": ["mask"], "head": "light"},
    "augment": {"flip": 0.5, "permute_colours": 0.5, "recolour": 0.5},
    "outside_mask": "keep",
    "loss": {"latent_weight": 1.0},
    "optimiser": {"learning_rate": 8e-4, "warmup_images": 800, "schedule": "constant", "clip_norm": 1.0},
    "ema_half_life_images": 1000,
    "threads": 1,
    "loader_workers": 1,
    "checkpoint_every": STEPS[0],
    "keep_checkpoints": len(STEPS),
    "validation": {"every_images": None},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    arguments = parser.parse_args()
    folder = arguments.runs / NAME
    generate(DatasetConfig.model_validate(DATASET), folder / "dataset", workers=1)
    judged = list(pairs_of(folder / "dataset", "test"))
    gains: dict[tuple[int, int], np.ndarray] = {}  # by kept pairs and steps: (seeds, test pairs)
    for kept in KEPT:
        if not (folder / f"kept-{kept}" / "dataset.json").exists():
            shutil.rmtree(folder / f"kept-{kept}", ignore_errors=True)
            write_kept(folder / "dataset", kept, folder / f"kept-{kept}")
        of_seeds = [curve(folder, kept, seed, judged) for seed in SEEDS]
        gains |= {(kept, steps): np.stack([of[steps] for of in of_seeds]) for steps in STEPS}
    result = summary(gains, judged)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "pairs_per_group.json").write_text(json.dumps(result, indent=1) + "\n")
    page = markdown(result)
    (arguments.out / "pairs_per_group.md").write_text(page)
    print(page)


def pairs_of(dataset: Path, split: str) -> Iterator[Pair]:
    source = PairSource(dataset, "relighting", split)
    for place in range(len(source)):
        yield source.pair(place, Frame(SIZE_WH))


def write_kept(dataset: Path, kept: int, folder: Path) -> None:
    """The first `kept` of each whole group's pairs, in an order that all numbers share."""
    groups: dict[int, list[Pair]] = {}
    for pair in pairs_of(dataset, "train"):
        groups.setdefault(int(pair.key.rpartition("-")[2]) // ALL, []).append(pair)
    whole = {group: pairs for group, pairs in groups.items() if len(pairs) == ALL}
    chosen = iter(
        [pairs[at] for group, pairs in whole.items() for at in rng(0, "kept", group).permutation(ALL)[:kept]]
    )

    def fill(fields: Fields) -> None:
        pair = next(chosen)
        for name in ("source", "target", "mask"):
            fields[f"{name}.png"] = getattr(pair, name)

    recipe = TinyRecipe(groups={"train": len(whole)}, pairs_per_group=kept, size_WH=SIZE_WH)
    TinyDataset(recipes={"relighting": recipe}, groups_per_shard=20, edit=fill).write(folder)


def curve(folder: Path, kept: int, seed: int, judged: list[Pair]) -> dict[int, np.ndarray]:
    """Gain of each test pair in dB, by steps."""
    mix = {"seed": seed, "sources": [{"name": "swap", "path": f"run:kept-{kept}", "recipe": "relighting"}]}
    run = folder / f"train-{kept}-{seed}"
    train(
        TrainingConfig.model_validate({**TRAINING, "seed": seed}),
        MixConfig.model_validate(mix),
        run,
        run_root=folder,
    )
    found = {}
    for steps in STEPS:
        (checkpoint,) = (run / "checkpoints").glob(f"step-*{steps}")
        model = TranslationModel.load(checkpoint)
        outputs = model.translate_batch(
            np.stack([pair.source for pair in judged]), np.stack([pair.mask for pair in judged])
        )
        found[steps] = np.array(
            [
                psnr(foreground_mse(output, pair.target, pair.mask))
                - psnr(foreground_mse(pair.source, pair.target, pair.mask))
                for output, pair in zip(outputs, judged, strict=True)
            ]
        )
    return found


def summary(gains: dict[tuple[int, int], np.ndarray], judged: list[Pair]) -> dict[str, Any]:
    objects, lightings = (
        [object_of(pair.meta) for pair in judged],
        [lighting_of(pair.meta) for pair in judged],
    )

    def interval(values: np.ndarray) -> dict[str, float]:
        found = bootstrap_interval(values.mean(axis=0).tolist(), objects, lightings, seed=0)
        return {name: round(getattr(found, name), 3) for name in ("mean", "low", "high")}

    return {
        "pairs": len(judged),
        "objects": len(set(objects)),
        "lightings": len(set(lightings)),
        "rows": [
            {
                "kept": kept,
                "steps": steps,
                "gain": interval(own),
                "of_seeds": own.mean(axis=1).round(3).tolist(),
                "over_fewest": interval(own - gains[KEPT[0], steps]),
            }
            for (kept, steps), own in gains.items()
        ],
    }


def markdown(result: dict[str, Any]) -> str:
    def shown(of: dict[str, float]) -> str:
        return f"{of['mean']:+.2f} [{of['low']:.2f}, {of['high']:.2f}]"

    lines = [
        "# Pairs of a group",
        "",
        "How many of the twelve ordered pairs of four lightings are worth their disk? The same 240 groups,",
        "and so the same renders, with 4 or all 12 of their pairs kept; the same network, steps of 16 pairs.",
        f"Gains in dB of foreground PSNR over the untouched source, {result['pairs']} test pairs of",
        f"{result['objects']} unseen objects under {result['lightings']} unseen environment maps, means over",
        "three seeds; in brackets 95 % intervals of the crossed bootstrap over objects and maps.",
        "Written by `python -m benchmarks.pairs_per_group`.",
        "",
        "| pairs kept | steps | gain | of each seed | over 4 pairs |",
        "|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        seeds = ", ".join(f"{one:+.2f}" for one in row["of_seeds"])
        over = "" if row["kept"] == KEPT[0] else shown(row["over_fewest"])
        lines.append(f"| {row['kept']} | {row['steps']} | {shown(row['gain'])} | {seeds} | {over} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
