"""How much of the change of light does the backdrop of a relighting pair explain?

    python -m benchmarks.backdrop_light DATASET [DATASET ...] [--recipe relighting] [--split train]

A model that relights by the background can learn only what backgrounds say. Of every pair this takes the
light on the foreground, five numbers (level, two of colour, left against right, above against below), before
and after, and asks a ridge regression for the change: once from the light before and once from that and the
backdrop, a coarse picture of it with a hole where the foreground is. Folds leave whole objects and scenes
out. Prints, for each dataset, the explained share of the variance (R2) on held-out groups, with a bootstrap
interval over objects and lightings.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.imaging.colour import srgb_decode
from pairbridge.datagen.shards.reader import open_shards
from pairbridge.datagen.shards.sample import params_of
from pairbridge.training.evaluation.linear_baselines import StandardisedRidge
from pairbridge.training.evaluation.metrics import Interval, bootstrap_interval

FOLDS = 8
# Cells of a backdrop, across and down.
CELLS = 3
LIGHTS = ("level", "red", "blue", "across", "up")
# Below the first 8-bit step nothing is known; it keeps logarithms finite.
DARK = 1 / 3000


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One pair: `before` and `change` of the light (5,), the backdrop's features, and whose it is."""

    group: str
    object_id: str
    lighting: str
    before: np.ndarray
    change: np.ndarray
    backdrop: np.ndarray


def foreground_light(linear: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(5,), `LIGHTS`: of a linear picture (H, W, 3) within a mask (H, W) in [0, 1].

    Logarithms of mean luminance, of red over green and of blue over green; luminance right less left of the
    mask's middle, and above less below it, over their sum.
    """
    colour = np.tensordot(weight, linear, axes=2) / weight.sum() + DARK
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    rows, columns = (np.arange(size) - (size - 1) / 2 for size in weight.shape)
    sides = []
    for places, axis in ((columns, 0), (-rows, 1)):
        profile, of_light = weight.sum(axis=axis), (weight * luminance).sum(axis=axis)
        middle = (profile @ places) / profile.sum()
        halves = [
            of_light[side].sum() / max(profile[side].sum(), 1e-6)
            for side in (places > middle, places <= middle)
        ]
        sides.append((halves[0] - halves[1]) / (halves[0] + halves[1] + DARK))
    return np.array(
        [
            np.log(colour @ [0.2126, 0.7152, 0.0722]),
            np.log(colour[0] / colour[1]),
            np.log(colour[2] / colour[1]),
            *sides,
        ]
    )


def backdrop(linear: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(3 CELLS^2 + 6,): log luminance and colour of the cells of what is around a mask, and over all of it.

    A cell that the foreground fills has the mean of all.
    """
    around = (1 - weight)[..., None]
    size = (CELLS, CELLS)
    sums = cv2.resize((linear * around).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(around[..., 0].astype(np.float32), size, interpolation=cv2.INTER_AREA)[..., None]
    mean = np.tensordot(1 - weight, linear, axes=2) / max(float((1 - weight).sum()), 1e-6)
    cells = np.where(share > 0.05, sums / np.maximum(share, 0.05), mean) + DARK
    logs = _log_colour(cells).reshape(-1, 3)
    return np.concatenate([logs.ravel(), logs.std(axis=0), _log_colour(mean + DARK)])


def _log_colour(linear: np.ndarray) -> np.ndarray:
    green = linear[..., 1:2]
    luminance = (linear @ np.array([0.2126, 0.7152, 0.0722]))[..., None]
    return np.log(np.concatenate([luminance, linear[..., :1] / green, linear[..., 2:] / green], axis=-1))


def changes(dataset: Path, recipe: str, split: str) -> Iterator[Change]:
    for shard in open_shards(dataset, recipe, split):
        for place in range(len(shard)):
            sample = shard.read(place)
            source, target = (_linear(sample[name]) for name in ("source.png", "target.png"))
            mask = cv2.imdecode(np.frombuffer(sample["mask.png"], np.uint8), cv2.IMREAD_GRAYSCALE)
            weight = mask.astype(np.float64) / 255
            meta = json.loads(sample["meta.json"])
            params = params_of(meta)
            before, after = foreground_light(source, weight), foreground_light(target, weight)
            yield Change(
                group=str(meta["group"]),
                object_id=params["objects"][0]["id"],
                lighting=params["lighting_b"]["id"],
                before=before,
                change=after - before,
                backdrop=backdrop(target, weight),
            )


def _linear(png: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    return srgb_decode(picture.astype(np.float64) / 255)


def explained(found: list[Change], seed: int = 0) -> dict[str, Any]:
    """R2 of each of `LIGHTS` and of their mean, from the backdrop beside the light before, from that light
    alone, and from the backdrop alone; all on held-out groups.
    """
    change = np.stack([one.change for one in found])
    # Each number counts the same, whatever its unit.
    variance = change.var(axis=0)
    inputs = {
        "before": np.stack([one.before for one in found]),
        "backdrop": np.stack([one.backdrop for one in found]),
    }
    inputs["both"] = np.concatenate([inputs["before"], inputs["backdrop"]], axis=1)
    shares = {
        name: 1
        - np.square(change - _held_out(features, change, [one.group for one in found], seed)) / variance
        for name, features in inputs.items()
    }
    shares["beyond the light before"] = shares["both"] - shares["before"]

    def interval(values: np.ndarray) -> Interval:
        objects, lightings = [one.object_id for one in found], [one.lighting for one in found]
        return bootstrap_interval(values.tolist(), objects, lightings, seed=seed)

    return {
        "pairs": len(found),
        "groups": len({one.group for one in found}),
        "objects": len({one.object_id for one in found}),
        "lightings": len({one.lighting for one in found}),
        **{
            name: {
                "mean": asdict(interval(values.mean(axis=1))),
                **{light: asdict(interval(values[:, place])) for place, light in enumerate(LIGHTS)},
            }
            for name, values in shares.items()
        },
    }


def _held_out(features: np.ndarray, wanted: np.ndarray, groups: list[str], seed: int) -> np.ndarray:
    """Predictions (N, K), each by a ridge that saw no pair of its group; penalties by a fifth of the rest."""
    names = sorted(set(groups))
    fold_of = dict(zip(names, rng(seed, "folds").permutation(len(names)) % FOLDS, strict=True))
    folds = np.array([fold_of[group] for group in groups])
    predicted = np.empty_like(wanted)
    scale = wanted.std(axis=0)
    for fold in range(FOLDS):
        held, chosen = folds == fold, folds == (fold + 1) % FOLDS
        fitted = ~held & ~chosen
        for column in range(wanted.shape[1]):
            y = wanted[:, column : column + 1] / scale[column]
            model = StandardisedRidge(features[fitted], y[fitted], features[chosen], y[chosen])
            predicted[held, column] = [scale[column] * model(row)[0] for row in features[held]]
    return predicted


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--recipe", default="relighting")
    parser.add_argument("--split", default="train")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    arguments = parser.parse_args()
    found = {
        folder.name: explained(list(changes(folder, arguments.recipe, arguments.split)))
        for folder in arguments.datasets
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    for name, figures in found.items():
        print(
            f"{name}: {figures['pairs']} pairs of {figures['groups']} groups, "
            f"{figures['lightings']} lightings"
        )
        for features in ("before", "backdrop", "both", "beyond the light before"):
            row = figures[features]
            cells = ", ".join(f"{light} {row[light]['mean']:+.3f}" for light in LIGHTS)
            mean = row["mean"]
            print(
                f"  {features:24} R2 {mean['mean']:+.3f} [{mean['low']:+.3f}, {mean['high']:+.3f}]   {cells}"
            )


if __name__ == "__main__":
    main()
