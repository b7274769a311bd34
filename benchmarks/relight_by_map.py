"""Does turning the environment map turn the light? The model of the package, on what it never saw.

    python -m benchmarks.relight_by_map [--runs runs] [--out docs/benchmarks] [--images docs/images]
        [--foreign FOLDER]

Takes the run `reference` that `benchmarks.reference_model` made. Objects of the test families are rendered
under test maps in eight steps of 45 degrees, and once under another map, whose light the source has; they are
relit by the map of the light to come (`map`), and by both (`maps`), once in the pictures under these maps,
and once before the background of the first, where the map alone says where the light is. Shading is judged
over the object's pixels: luminance ~ a + b . n is fitted with the true normals n, in linear light. b / a is
which way the light comes from, and how hard; an output's is held against the target's.

`--foreign` names a folder with `objects` and `hdris` of others, for which the figures are made too; none of
it goes into the picture, which shows the first test object under eight lights, and below the first that a sun
is turned around, before one background. Intervals of 95 % are of the crossed bootstrap over objects and maps.
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.relight_by_map_page import markdown
from pairbridge.datagen.assets.object_files import OBJECT_SUFFIXES
from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.imaging.colour import srgb_decode
from pairbridge.datagen.imaging.compositing import over_linear
from pairbridge.datagen.lighting.environment_maps import lighting_map, stored_light
from pairbridge.datagen.lighting.equirect import LUMINANCE, load_environment
from pairbridge.datagen.lighting.exposure import LIGHT_LIMIT, PICTURE_LEVEL, normalising_factor
from pairbridge.datagen.recipes.rendering import Camera, Renderer, View
from pairbridge.datagen.sourcing.sources import embedded_assets
from pairbridge.pipelines.inference.found_checkpoints import newest_checkpoint
from pairbridge.pipelines.pages.sheets import write_png
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.targets import light_planes
from pairbridge.training.evaluation.metrics import bootstrap_interval, foreground_mse, psnr

RUN = "reference"
SIZE_WH = (128, 128)
# Turns of one map, and seeds of each test family.
TURNS_DEG = tuple(range(0, 360, 45))
SEEDS = range(1000, 1004)
# Of each kind of generated map.
MAPS = 2
# What the model is given.
LIGHTS = {"map": ("light_target",), "maps": ("light_target", "light_source")}


@dataclass(frozen=True, slots=True)
class Judged:
    """A pair and what the model makes of it: uint8 (H, W, 3); normals (H, W, 3), 0 where there is none."""

    source: np.ndarray
    target: np.ndarray
    mask: np.ndarray
    normals: np.ndarray
    light: np.ndarray  # linear (32, 64, 3), of the target
    had: np.ndarray  # likewise, of the source
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

    run = arguments.runs / RUN
    model = TranslationModel.load(newest_checkpoint(run / "train"))
    maps = test_maps(run / "dataset" / "lightings")
    families = [one.id for one in embedded_assets(None) if one.kind == "family" and one.split == "test"]
    objects = [f"{family}:{seed}" for seed in SEEDS for family in families]
    *turned, shown = rendered(run / "turned", objects, maps)
    result = {"unseen": judged(model, *turned)}
    if arguments.foreign:
        every = sorted((arguments.foreign / "objects").rglob("*"))
        files = [path for path in every if path.suffix in OBJECT_SUFFIXES]
        theirs = sorted((arguments.foreign / "hdris").glob("*.hdr"))
        *turned_theirs, _ = rendered(run / "turned-foreign", files, theirs)
        result["foreign"] = judged(model, *turned_theirs)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "relight_by_map.json").write_text(json.dumps(result, indent=1) + "\n")
    page = markdown(result)
    (arguments.out / "relight_by_map.md").write_text(page)
    # The first opaque object under a sky, and with it a sun: every map has its eight turns.
    alone = turned[1]
    first = next(
        place
        for place, pair in enumerate(alone)
        if pair.lighting.startswith("sky") and not pair.object_id.startswith("drinking_glass")
    )
    of_sun = alone[first : first + len(TURNS_DEG)]
    rows = [strip(translated(model, pairs, LIGHTS["maps"])) for pairs in (shown, of_sun)]
    write_png(arguments.images / "relight_by_map.png", np.concatenate(rows))
    print(page)


def judged(model: TranslationModel, together: Sequence[Judged], alone: Sequence[Judged]) -> dict:
    """Figures by what the model is given and where the background is from."""
    found: dict = {
        "objects": len({pair.object_id for pair in together}),
        "environments": len({pair.lighting for pair in together}),
    }
    for name, given in LIGHTS.items():
        found[name] = {
            place: of_turns(translated(model, pairs, given))
            for place, pairs in (("with_background", together), ("map_alone", alone))
        }
    return found


def translated(model: TranslationModel, pairs: Sequence[Judged], given: Sequence[str]) -> list[Judged]:
    """The pairs with the model's outputs."""
    done = []
    for first in range(0, len(pairs), 16):
        some = pairs[first : first + 16]
        lights = {
            "light_target": np.stack([light_planes(pair.light) for pair in some]),
            "light_source": np.stack([light_planes(pair.had) for pair in some]),
        }
        outputs = model.translate_batch(
            np.stack([pair.source for pair in some]),
            np.stack([pair.mask for pair in some]),
            conditions={name: lights[name] for name in given},
        )
        done += [replace(pair, output=output) for pair, output in zip(some, outputs, strict=True)]
    return done


def gain(pair: Judged) -> float:
    """Foreground PSNR of the output over that of the source, dB."""
    model, source = (
        psnr(foreground_mse(picture, pair.target, pair.mask)) for picture in (pair.output, pair.source)
    )
    return model - source


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


def test_maps(baked: Path) -> list[Path]:
    """The embedded ones of the test split, then of each kind that the dataset baked some, in turn."""
    embedded = [one.path for one in embedded_assets(None) if one.kind == "hdri" and one.split == "test"]
    kinds = [
        sorted(baked.glob(f"{kind}-test-*.exr"))[:MAPS] for kind in ("sky", "rig", "outdoor", "interior")
    ]
    return [*embedded, *(path for one_of_each in zip(*kinds, strict=True) for path in one_of_each)]


def rendered(
    folder: Path, objects: Sequence[str | Path], maps: Sequence[Path]
) -> tuple[list[Judged], list[Judged], list[Judged]]:
    """Turned maps with the background that is theirs, and with that of the first turn; and the strip.

    Rendered once, and kept in `folder`.
    """
    names = ("together", "alone", "strip")
    if not all((folder / f"{name}.npz").is_file() for name in names):
        with Renderer(samples=16, threads=2) as renderer:
            made = (*_turns(renderer, objects, maps), strip_of(renderer, objects[0], maps))
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


def _turns(
    renderer: Renderer, objects: Sequence[str | Path], maps: Sequence[Path]
) -> tuple[list[Judged], list[Judged]]:
    draw = rng(0, "turned")
    together: list[Judged] = []
    alone: list[Judged] = []
    for number, name in enumerate(objects):
        azimuth_deg, elevation_deg = float(draw.uniform(0, 360)), float(draw.uniform(0, 25))
        camera = Camera(azimuth_deg=azimuth_deg, elevation_deg=elevation_deg, fov_deg=35)
        path, other = maps[number % len(maps)], maps[(number + 3) % len(maps)]
        lights = [(other, float(draw.uniform(0, 360))), *((path, turn) for turn in TURNS_DEG)]
        try:
            before, *views = renderer.render(name, lights, camera=camera, size=SIZE_WH)
        except AssetError as error:
            print(f"left out: {error.cause}")
            continue
        first = views[0]
        for view, light in zip(views, lights[1:], strict=True):
            lit = seen_light(view, light), seen_light(before, lights[0])
            shown = (view.normal, *lit, Path(name).stem, path.stem)
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
        "gain": interval(np.array([gain(pair) for pair in pairs]), pairs),
        **shading(pairs),
    }


def strip_of(renderer: Renderer, name: str | Path, maps: Sequence[Path]) -> list[Judged]:
    """An object under four turns of the first map, and under four other maps."""
    lights = [
        (maps[-1], 0.0),
        *((maps[0], turn) for turn in TURNS_DEG[::2]),
        *((one, 0) for one in maps[1:5]),
    ]
    before, *views = renderer.render(name, lights, camera=Camera(elevation_deg=12), size=SIZE_WH)
    had = seen_light(before, lights[0])
    return [
        Judged(
            *(view.lit_as(before), view.image, view.mask, view.normal, seen_light(view, light), had),
            Path(name).stem,
            light[0].stem,
        )
        for view, light in zip(views, lights[1:], strict=True)
    ]


def strip(pairs: Sequence[Judged], side: int = 128, gap: int = 4) -> np.ndarray:
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
