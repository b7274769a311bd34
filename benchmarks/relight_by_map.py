"""Does turning the environment map turn the light? One model, judged on objects and maps that it never saw.

    python -m benchmarks.relight_by_map [--runs runs] [--out docs/benchmarks] [--images docs/images]
        [--foreign FOLDER]

Renders a dataset of many environment maps (resumable), trains on it once with the target's map as a condition
(resumable), and judges the one-step model

- by foreground PSNR on test pairs, beside the source and a ridge regression that sees the map as well;
- by shading: over the object's pixels, luminance ~ a + b . n is fitted with the stored normals n, in linear
  light. b / a is which way the light comes from, and how hard; an output's is held against the target's;
- by turning: test objects under test maps in eight steps of 45 degrees, rendered for truth; once in the
  pictures under these maps, and once before the background of the first, where the map alone says it.

`--foreign` names a folder with `objects` and `hdris` of others, for which the figures are made too; none of
it goes into the picture, which shows the first test object under eight lights, and below the first that a sun
is turned around, before one background. Intervals of 95 % are of the crossed bootstrap over objects and maps.
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np

from benchmarks.relight_by_map_page import markdown
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.imaging.colour import srgb_decode
from pairbridge.datagen.imaging.compositing import over_linear
from pairbridge.datagen.lighting.environment_maps import lighting_map, stored_light
from pairbridge.datagen.lighting.equirect import LUMINANCE, load_environment
from pairbridge.datagen.lighting.exposure import LIGHT_LIMIT, PICTURE_LEVEL, normalising_factor
from pairbridge.datagen.recipes.rendering import Camera, Renderer, View
from pairbridge.datagen.sourcing.sources import embedded_assets
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.pages.sheets import write_png
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.data.framing import Frame
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.data.targets import light_planes
from pairbridge.training.evaluation.linear_baselines import FittingPair, Predictor, fit_light_colour_ridge
from pairbridge.training.evaluation.metrics import bootstrap_interval, foreground_mse, psnr

NAME = "relight-by-map"
SIZE_WH = (64, 64)
# Turns of one map, and test objects that are rendered under them.
TURNS_DEG = tuple(range(0, 360, 45))
TURNED_OBJECTS = ("mug", "toy_car")
TURNED_SEEDS = range(1000, 1004)
_SWAP = {
    "kind": "relighting_swap",
    "size_WH": [96, 96],
    "lighting_kinds": {"hdri": 0.4, "sky": 0.35, "rig": 0.25},
    # A plain pinhole, as the published figures were measured.
    "camera": {"composition": {"centred": 1}, "front_share": 0, "roll_deg": 0, "defocus": None},
    "fov_deg": [25, 50],
    "finish": None,
    "strength": [0.8, 1.25],
    "tint": 0.05,
    "store": ["light_target", "normal"],
}
DATASET = {
    "name": "relight-by-map",
    "seed": 17,
    "lightings": {
        "width": 512,
        "skies": {"train": 40, "validation": 4, "test": 12},
        "rigs": {"train": 24, "validation": 3, "test": 8},
    },
    # As coarse as the map that the network is given, so that both hold the same sun.
    "render": {"samples": 16, "lighting_copy_width": 64},
    "groups_per_shard": 10,
    "recipes": {
        "relighting": {
            **_SWAP,
            "groups": {"train": 200, "validation": 20},
            "lightings_per_group": 5,
            "pairs_per_group": 10,
        },
        "unseen": {**_SWAP, "groups": {"test": 100}, "lightings_per_group": 3, "pairs_per_group": 3},
    },
}
MIX = {
    "seed": 0,
    "sources": [
        {
            "name": "swap",
            "path": "run:dataset",
            "recipe": "relighting",
            "roles": {"conditions": ["light_target"]},
        }
    ],
}
TRAINING = {
    "seed": 0,
    "steps": 1500,
    "batch_size": 16,
    "size": 64,
    "autoencoder": {"kind": "haar", "levels": 2},
    "bridge": {"sigma": 0.02, "field": "drift"},
    "timesteps": {"kind": "discrete", "times": [0.0], "weights": [1.0]},
    "denoiser": {
        "widths": [32, 64, 96],
        "layers_per_block": 1,
        "attention_levels": [2],
        "head": "gain",
        "conditions": ["mask", {"field": "light_target", "encoding": "irradiance"}],
    },
    "augment": {"flip": 0.5, "permute_colours": 0.5},
    "outside_mask": "keep",
    "loss": {"latent_weight": 1.0},
    "optimiser": {"learning_rate": 2e-3, "warmup_images": 800, "schedule": "cosine", "clip_norm": 1.0},
    "ema_half_life_images": 1000,
    "threads": 1,
    "loader_workers": 1,
    "log_every": 10,
    "checkpoint_every": 100,
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A pair and what a model makes of it: uint8 (H, W, 3); normals (H, W, 3), 0 where there is none."""

    source: np.ndarray
    target: np.ndarray
    mask: np.ndarray
    normals: np.ndarray
    light: np.ndarray  # linear (32, 64, 3)
    object_id: str
    lighting: str
    output: np.ndarray | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    parser.add_argument("--foreign", type=Path, default=None)
    arguments = parser.parse_args()

    folder = arguments.runs / NAME
    dataset = DatasetConfig.model_validate(DATASET)
    generate(dataset, folder / "dataset", workers=2)
    train(
        TrainingConfig.model_validate(TRAINING),
        MixConfig.model_validate(MIX),
        folder / "train",
        run_root=folder,
    )
    checkpoint = max((folder / "train" / "checkpoints").glob("step-*"))
    model = TranslationModel.load(checkpoint)

    ridge = fit_light_colour_ridge(
        fitting(pairs_of(folder / "dataset", "relighting", "train")),
        fitting(pairs_of(folder / "dataset", "relighting", "validation")),
    )
    result = {
        "steps": TRAINING["steps"],
        "validation": gains(
            translated(model, pairs_of(folder / "dataset", "relighting", "validation")), ridge
        ),
    }
    unseen = translated(model, pairs_of(folder / "dataset", "unseen", "test"))
    result["unseen"] = {**gains(unseen, ridge), **shading(unseen)}
    if arguments.foreign:
        generate(foreign_dataset(arguments.foreign), folder / "foreign", workers=2)
        foreign = translated(model, pairs_of(folder / "foreign", "relighting", "test"))
        result["foreign"] = {**gains(foreign, ridge), **shading(foreign)}
    maps = turned_maps(folder / "dataset" / "lightings")
    together, alone, shown = (translated(model, pairs) for pairs in rendered_turns(folder / "turned", maps))
    result["turned"] = {
        "objects": len({pair.object_id for pair in together}),
        "maps": len({pair.lighting for pair in together}),
        "with_background": of_turns(together),
        "map_alone": of_turns(alone),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "relight_by_map.json").write_text(json.dumps(result, indent=1) + "\n")
    page = markdown(result)
    (arguments.out / "relight_by_map.md").write_text(page)
    # The first object under a sky, and with it a sun: every map has its eight turns.
    first = next(place for place, pair in enumerate(alone) if pair.lighting.startswith("sky"))
    rows = [strip(shown), strip(alone[first : first + len(TURNS_DEG)])]
    write_png(arguments.images / "relight_by_map.png", np.concatenate(rows))
    print(page)


def foreign_dataset(folder: Path) -> DatasetConfig:
    """Objects and maps of others, lit as those of `DATASET`."""
    recipe = {
        **_SWAP,
        "groups": {"test": 24},
        "lightings_per_group": 3,
        "pairs_per_group": 3,
        "lighting_kinds": {"hdri": 1.0},
        "objects_share": 1.0,
    }
    return DatasetConfig.model_validate(
        {
            **DATASET,
            "name": "foreign",
            "lightings": {},
            "assets": {"embedded": False, "objects": [folder / "objects"], "hdris": [folder / "hdris"]},
            "recipes": {"relighting": recipe},
        }
    )


def pairs_of(dataset: Path, recipe: str, split: str) -> Iterator[Judged]:
    conditions = (ConditionConfig(field="normal"),)
    source = PairSource(dataset, recipe, split, conditions=conditions)
    for place in range(len(source)):
        pair = source.pair(place, Frame(SIZE_WH))
        (light,) = source.store.read(place, ("light_target",))[1].values()
        assets = {asset["role"]: asset["id"] for asset in pair.meta["assets"]}
        yield Judged(
            pair.source,
            pair.target,
            pair.mask,
            pair.conditions["normal"],
            light.astype(np.float32),
            assets["object"],
            assets["lighting of the target"],
        )


def translated(model: TranslationModel, pairs: Iterator[Judged] | Sequence[Judged]) -> list[Judged]:
    """The pairs with the model's outputs."""
    done = []
    for _, batch in groupby(enumerate(pairs), key=lambda numbered: numbered[0] // 32):
        some = [pair for _, pair in batch]
        outputs = model.translate_batch(
            np.stack([pair.source for pair in some]),
            np.stack([pair.mask for pair in some]),
            conditions={"light_target": np.stack([seen(pair)["light_target"] for pair in some])},
        )
        done += [replace(pair, output=output) for pair, output in zip(some, outputs, strict=True)]
    return done


def fitting(pairs: Iterator[Judged]) -> list[FittingPair]:
    """What the ridge regression is fitted on: it sees the map as the model does."""
    return [
        FittingPair(pair.source, pair.target, pair.mask, seen(pair), np.ones(pair.mask.shape, bool))
        for pair in pairs
    ]


def seen(pair: Judged) -> dict[str, np.ndarray]:
    return {"light_target": light_planes(pair.light)}


def gains(pairs: Sequence[Judged], ridge: Predictor) -> dict:
    """Foreground PSNR in dB: of the model, and how much it gains, paired per image."""

    def of(pictures: Sequence[np.ndarray]) -> np.ndarray:
        return np.array(
            [psnr(foreground_mse(x, pair.target, pair.mask)) for x, pair in zip(pictures, pairs, strict=True)]
        )

    model = of([pair.output for pair in pairs])
    source = of([pair.source for pair in pairs])
    shifted = of([ridge(pair.source, pair.mask, seen(pair)) for pair in pairs])
    return {
        "pairs": len(pairs),
        "objects": len({pair.object_id for pair in pairs}),
        "maps": len({pair.lighting for pair in pairs}),
        "psnr": {
            name: interval(values, pairs)
            for name, values in (("source", source), ("ridge", shifted), ("model", model))
        },
        "gain": {"source": interval(model - source, pairs), "ridge": interval(model - shifted, pairs)},
    }


def gradient(picture: np.ndarray, pair: Judged) -> np.ndarray:
    """b / a of linear luminance ~ a + b . n over the pixels of the object alone."""
    there = (pair.mask == 255) & (np.linalg.norm(pair.normals, axis=2) > 0.5)
    luminance = srgb_decode(picture[there].astype(np.float32) / 255) @ LUMINANCE
    design = np.concatenate([np.ones((there.sum(), 1)), pair.normals[there]], axis=1)
    # A little towards 0, for objects of which few normals are seen.
    penalty = 1e-2 * there.sum() * np.diag([0.0, 1, 1, 1])
    fitted = np.linalg.solve(design.T @ design + penalty, design.T @ luminance)
    return fitted[1:] / max(float(luminance.mean()), 1e-3)


def shading(pairs: Sequence[Judged]) -> dict:
    """How the shading of outputs, and of sources for comparison, agrees with that of the targets."""
    truth = np.stack([gradient(pair.target, pair) for pair in pairs])
    found = {}
    for name in ("source", "output"):
        own = np.stack([gradient(getattr(pair, name), pair) for pair in pairs])
        cosine = (own * truth).sum(1) / (np.linalg.norm(own, axis=1) * np.linalg.norm(truth, axis=1)).clip(
            min=1e-6
        )
        across = correlations(own, truth, pairs)
        found[name] = {
            "cosine": interval(cosine, pairs),
            "median_angle_deg": round(float(np.degrees(np.median(np.arccos(cosine.clip(-1, 1))))), 1),
            **across,
        }
    return {"shading": found}


def correlations(own: np.ndarray, truth: np.ndarray, pairs: Sequence[Judged]) -> dict:
    """Pearson's, over pairs, of the components to the right, up and towards the camera."""
    weights = list(resampled(pairs))
    result = {}
    for axis, name in enumerate(("right", "up", "towards")):
        x, y = own[:, axis], truth[:, axis]
        drawn = [pearson(x, y, weight) for weight in weights]
        low, high = np.quantile(drawn, [0.025, 0.975])
        result[name] = {"mean": pearson(x, y, np.ones(len(x))), "low": float(low), "high": float(high)}
    return {"correlation": {name: rounded(of) for name, of in result.items()}}


def pearson(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    x, y = x - np.average(x, weights=weight), y - np.average(y, weights=weight)
    spread = math.sqrt((weight * x * x).sum() * (weight * y * y).sum())
    # A draw of one object alone says nothing of a source that is the same under every turn.
    return float((weight * x * y).sum() / spread) if spread > 1e-12 else 0.0


def resampled(pairs: Sequence[Judged], resamples: int = 2000) -> Iterator[np.ndarray]:
    """How often each pair counts, as in `bootstrap_interval`: objects are drawn with replacement, and so,
    independently, are maps; a map of one object alone comes and goes with it.
    """
    draw = rng(0, "crossed")
    owner, light = (
        np.unique([getattr(pair, of) for pair in pairs], return_inverse=True)[1]
        for of in ("object_id", "lighting")
    )
    shared = [number for number in range(light.max() + 1) if len(set(owner[light == number])) > 1]
    while resamples:
        weight = _drawn(draw, owner.max() + 1)[owner]
        if len(shared) > 1:
            of_maps = np.ones(light.max() + 1)
            of_maps[shared] = _drawn(draw, len(shared))
            weight = weight * of_maps[light]
        if weight.any():
            resamples -= 1
            yield weight


def _drawn(draw: np.random.Generator, count: int) -> np.ndarray:
    return draw.multinomial(count, np.full(count, 1 / count)).astype(float)


def interval(values: np.ndarray, pairs: Sequence[Judged]) -> dict[str, float]:
    objects, maps = [pair.object_id for pair in pairs], [pair.lighting for pair in pairs]
    found = bootstrap_interval(values.tolist(), objects, maps, seed=0)
    return rounded({"mean": found.mean, "low": found.low, "high": found.high})


def rounded(of: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in of.items()}


def turned_maps(baked: Path) -> list[Path]:
    """Maps of the test split: the embedded ones, then skies and rigs of the dataset in turn."""
    embedded = [one.path for one in embedded_assets(None) if one.kind == "hdri" and one.split == "test"]
    skies, rigs = (sorted(baked.glob(f"{kind}-test-*.exr")) for kind in ("sky", "rig"))
    return [*embedded, *(path for both in zip(skies, rigs, strict=False) for path in both)]


def rendered_turns(folder: Path, maps: Sequence[Path]) -> tuple[list[Judged], list[Judged], list[Judged]]:
    """Turned maps with the background that is theirs, and with that of the first turn; and the strip.

    Rendered once, and kept in `folder`.
    """
    names = ("together", "alone", "strip")
    if not all((folder / f"{name}.npz").is_file() for name in names):
        with Renderer(samples=16, threads=2) as renderer:
            made = (*_turns(renderer, maps), strip_of(renderer, maps))
        folder.mkdir(parents=True, exist_ok=True)
        for name, pairs in zip(names, made, strict=True):
            columns = [one.name for one in fields(Judged) if one.name != "output"]
            np.savez(
                folder / f"{name}.npz",
                **{of: np.stack([np.asarray(getattr(pair, of)) for pair in pairs]) for of in columns},
            )
    return tuple(_kept(folder / f"{name}.npz") for name in names)


def _kept(path: Path) -> list[Judged]:
    with np.load(path) as there:
        columns = {name: there[name] for name in there.files}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [
        Judged(**{**row, "object_id": str(row["object_id"]), "lighting": str(row["lighting"])})
        for row in rows
    ]


def _turns(renderer: Renderer, maps: Sequence[Path]) -> tuple[list[Judged], list[Judged]]:
    draw = rng(0, "turned")
    together: list[Judged] = []
    alone: list[Judged] = []
    objects = [f"{family}:{seed}" for seed in TURNED_SEEDS for family in TURNED_OBJECTS]
    for number, name in enumerate(objects):
        azimuth_deg, elevation_deg = float(draw.uniform(0, 360)), float(draw.uniform(0, 25))
        camera = Camera(azimuth_deg=azimuth_deg, elevation_deg=elevation_deg, fov_deg=35)
        path, other = maps[number % len(maps)], maps[(number + 3) % len(maps)]
        lights = [(other, float(draw.uniform(0, 360))), *((path, turn) for turn in TURNS_DEG)]
        before, *views = renderer.render(name, lights, camera=camera, size=SIZE_WH)
        first = views[0]
        for view, light in zip(views, lights[1:], strict=True):
            shown = (view.normal, seen_light(view, light), name, path.stem)
            together.append(Judged(view.lit_as(before), view.image, view.mask, *shown))
            kept = first.transform.apply(over_linear(view.foreground, first.background))
            alone.append(Judged(first.lit_as(before), kept, view.mask, *shown))
    return together, alone


def seen_light(view: View, light: tuple[Path, float]) -> np.ndarray:
    environment = load_environment(light[0])
    factor = normalising_factor(environment, picture=PICTURE_LEVEL, limit=LIGHT_LIMIT)
    found = factor * lighting_map(environment, math.radians(light[1]), view.camera_to_world)
    return stored_light(found).astype(np.float32)


def of_turns(pairs: Sequence[Judged]) -> dict:
    """Of each object's eight turns: how the swing of the shading follows the truth's, and how large it is."""
    steps = len(TURNS_DEG)
    swings = {
        name: np.stack([gradient(getattr(pair, name), pair) for pair in pairs]).reshape(-1, steps, 3)
        for name in ("source", "target", "output")
    }
    swings = {name: one - one.mean(axis=1, keepdims=True) for name, one in swings.items()}
    firsts = pairs[::steps]
    truth, own = swings["target"], swings["output"]
    inner = (own * truth).sum(axis=(1, 2))
    norms = np.sqrt((truth**2).sum(axis=(1, 2))), np.sqrt((own**2).sum(axis=(1, 2)))
    return {
        "correlation": interval(inner / (norms[0] * norms[1]).clip(min=1e-9), firsts),
        "size": interval(inner / (norms[0] ** 2), firsts),
        **shading(pairs),
    }


def strip_of(renderer: Renderer, maps: Sequence[Path]) -> list[Judged]:
    """The first test object under four turns of the first test map, and under four other maps."""
    name = f"{TURNED_OBJECTS[0]}:{TURNED_SEEDS[0]}"
    lights = [
        (maps[-1], 0.0),
        *((maps[0], turn) for turn in TURNS_DEG[::2]),
        *((one, 0) for one in maps[1:5]),
    ]
    before, *views = renderer.render(name, lights, camera=Camera(elevation_deg=12), size=SIZE_WH)
    return [
        Judged(
            *(view.lit_as(before), view.image, view.mask, view.normal, seen_light(view, light)),
            name,
            light[0].stem,
        )
        for view, light in zip(views, lights[1:], strict=True)
    ]


def strip(pairs: Sequence[Judged], side: int = 104, gap: int = 4) -> np.ndarray:
    """Maps, sources, outputs and truths, a column to each light."""
    columns = []
    for pair in pairs:
        shown = np.rint(255 * np.minimum(pair.light, 1) ** (1 / 2.2)).astype(np.uint8)
        cells = [cv2.resize(shown, (side, side // 2), interpolation=cv2.INTER_AREA)]
        for picture in (pair.source, pair.output, pair.target):
            cells.append(cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC))
        spaced = [np.pad(cell, ((0, gap), (0, gap), (0, 0)), constant_values=255) for cell in cells]
        columns.append(np.concatenate(spaced))
    return np.concatenate(columns, axis=1)[:-gap, :-gap]


if __name__ == "__main__":
    main()
