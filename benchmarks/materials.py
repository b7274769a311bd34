"""What the reference model does to glass, mirrors and fine texture: the limits that the LBM paper names.

    python -m benchmarks.materials [--runs runs] [--out docs/benchmarks] [--images docs/images]

Renders objects of the six families of the test side (resumable) and sorts them by what their pixels are made
of; judges the model that comes with the package by the background alone and by the target's environment map,
beside the untouched source and a ridge regression that is fitted on families of the training side. Intervals
of 95 % are of the crossed bootstrap over objects and lightings.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reference_model import LIGHT, METRIC, RIDGES
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.shards.sample import params_of
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.inference.image_files import read_image
from pairbridge.pipelines.inference.translation import REFERENCE, open_model
from pairbridge.pipelines.pages.sheets import write_png
from pairbridge.training.data.pairs import open_store
from pairbridge.training.evaluation.baselines import MODEL
from pairbridge.training.evaluation.evaluate import judge
from pairbridge.training.evaluation.evaluation_config import EvaluationConfig
from pairbridge.training.evaluation.judged_pairs import JudgedPair, read_rows
from pairbridge.training.evaluation.metrics import bootstrap_interval
from pairbridge.training.evaluation.ratios import fine_detail, ratio_cell, ratio_summary

SIDE = 128
GROUPS = 240
_SWAP = {
    "kind": "relighting_swap",
    "size_WH": [SIDE, SIDE],
    "standing": 0.4,
    "flip": 0.5,
    "strength": [0.81, 1.23],
    "tint": 0.05,
    "camera": {"defocus": None},
    "finish": None,
}
DATASET = {
    "name": "materials",
    "seed": 29,
    "lightings": {
        "width": 512,
        "outdoors": {"train": 8, "validation": 2, "test": 8},
        "interiors": {"train": 0, "validation": 0, "test": 3},
        "rigs": {"train": 8, "validation": 2, "test": 0},
    },
    "render": {"samples": 16},
    "groups_per_shard": 20,
    "recipes": {
        # For the ridges alone.
        "relighting": {
            **_SWAP,
            "groups": {"train": 80, "validation": 20},
            "lightings_per_group": 3,
            "pairs_per_group": 4,
            "lighting_kinds": {"hdri": 0.4, "outdoor": 0.35, "rig": 0.25},
            "lighting_kinds_of_split": {"validation": {"hdri": 0.5, "outdoor": 0.5}},
            "store": ["light_target"],
        },
        "unseen": {
            **_SWAP,
            "groups": {"test": GROUPS},
            "lightings_per_group": 2,
            "pairs_per_group": 2,
            "lighting_kinds": {"hdri": 0.35, "outdoor": 0.4, "interior": 0.25},
            "store": ["light_target", "albedo", "metallic", "roughness"],
        },
    },
}
GLASS, MIRROR, TEXTURE, OTHER = "glass", "mirror-like metal", "fine texture", "the rest"
# Metals below this roughness show what is around them; docs/scenes.md calls them glossy.
_MIRROR_ROUGHNESS = 0.3
# Of what is neither glass nor mirror, the objects with the most detail in their albedo.
_TEXTURED_SHARE = 0.25
_STRIPS = 3

_HEAD = """# Glass, mirrors and fine texture

The [reference model](../reference_model.md) on {objects} objects of six families that it never saw,
sorted by what their pixels are: *glass* is the family of drinking glasses; of *mirror-like metal* are
objects of which at least half of the foreground is metal with a roughness below {roughness}; of *fine
texture* is the quarter of the others whose albedo has the most of the finest band (periods below 5.5
pixels). Written by `python -m benchmarks.materials`, at {side}x{side} pixels and 16 samples. In brackets
95 % intervals of the crossed bootstrap over objects and lightings; one training seed.

Gains are in dB of foreground PSNR, paired, over the untouched source and over a ridge regression that
sees the same (a colour shift; with a map, light times colours), which is fitted on {fitted} pairs of
other families. Texture (finest band) and contrast are medians of the output's over the target's, 1 is
right; the source's stand behind them.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()

    folder = arguments.runs / "materials"
    generate(DatasetConfig.model_validate(DATASET), folder / "dataset", workers=1)
    material = materials_of_pairs(folder / "dataset")
    judge(
        EVALUATION, open_model(REFERENCE).model, folder / "evaluation", checkpoint=REFERENCE, run_root=folder
    )
    result = {
        "fitted_pairs": len(open_store(folder / "dataset", "relighting", "train")),
        "sets": {
            light: figures(read_rows(folder / "evaluation" / f"{light}.csv"), material, RIDGES[light])
            for light in LIGHT
        },
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "materials.json").write_text(json.dumps(result, indent=1) + "\n")
    page = markdown(result)
    (arguments.out / "materials.md").write_text(page)
    write_png(arguments.images / "materials_relit.png", picture(folder / "evaluation" / "samples", material))
    print(page)


EVALUATION = EvaluationConfig.model_validate(
    {
        "size": SIDE,
        "threads": 1,
        "sample_images": 2 * GROUPS,
        "worst_images": 0,
        "sources": [
            {
                "name": light,
                "path": "run:dataset",
                "recipe": "unseen",
                "fit_recipe": "relighting",
                "against": ["source", RIDGES[light]],
                **sees,
            }
            for light, sees in LIGHT.items()
        ],
    }
)


def materials_of_pairs(dataset: Path) -> dict[str, str]:
    """Key -> which set the pair's object is in, of all pairs of the test side."""
    store = open_store(dataset, "unseen", "test")
    material, detail = {}, {}
    for place in range(len(store)):
        meta, fields = store.read(place, ("mask", "albedo", "metallic", "roughness"))
        key, inside = store.key(place), fields["mask"] >= 128
        metal = fields["metallic"][inside] >= 128
        mirror = metal & (fields["roughness"][inside] < 255 * _MIRROR_ROUGHNESS)
        if params_of(meta)["objects"][0]["id"].startswith("drinking_glass"):
            material[key] = GLASS
        elif mirror.mean() >= 0.5:
            material[key] = MIRROR
        else:
            detail[key] = fine_detail(fields["albedo"], fields["mask"])
    least = np.quantile(list(detail.values()), 1 - _TEXTURED_SHARE)
    return material | {key: TEXTURE if found >= least else OTHER for key, found in detail.items()}


def figures(
    rows: dict[str, list[JudgedPair]], material: dict[str, str], ridge: str
) -> dict[str, dict[str, Any]]:
    """Of every set: how many pairs, objects and lightings, levels and paired gains, SSIM and ratios."""
    found = {}
    for name in (GLASS, MIRROR, TEXTURE, OTHER):
        own = {
            method: [pair for pair in of_method if material[pair.key] == name]
            for method, of_method in rows.items()
        }
        ids = [pair.object for pair in own[MODEL]], [pair.lighting for pair in own[MODEL]]

        def over(other: str, metric: str, own=own, ids=ids) -> dict[str, float]:
            gains = [
                pair.metrics[metric] - base.metrics[metric]
                for pair, base in zip(own[MODEL], own[other], strict=True)
            ]
            return asdict(bootstrap_interval(gains, *ids, seed=0))

        found[name] = {
            "pairs": len(own[MODEL]),
            "objects": len(set(ids[0])),
            "lightings": len(set(ids[1])),
            "levels": {
                method: {
                    metric: float(np.mean([pair.metrics[metric] for pair in of_method]))
                    for metric in (METRIC, "ssim")
                }
                for method, of_method in own.items()
            },
            "gain": {metric: over("source", metric) for metric in (METRIC, "ssim")},
            "over_ridge": over(ridge, METRIC),
            "ratios": {
                method: ratio_summary([pair.ratios for pair in own[method]], *ids, seed=0)
                for method in (MODEL, "source")
            },
        }
    return found


def markdown(result: dict[str, Any]) -> str:
    """The page."""

    def cell(of: dict[str, float], digits: int = 2) -> str:
        return f"{of['mean']:+.{digits}f} [{of['low']:.{digits}f}, {of['high']:.{digits}f}]"

    def ratio(of: dict[str, Any], name: str) -> str:
        return f"{ratio_cell(of[MODEL].get(name))} ({of['source'][name]['median']:.2f})"

    sets = result["sets"]
    lines = [
        _HEAD.format(
            objects=sum(of["objects"] for of in sets["background"].values()),
            roughness=_MIRROR_ROUGHNESS,
            side=SIDE,
            fitted=result["fitted_pairs"],
        )
    ]
    titles = {"background": "By the background alone", "map": "By the environment map"}
    for light, of_light in sets.items():
        lines += [
            f"## {titles[light]}",
            "",
            "| set | pairs | objects x lightings | source, dB | over source | over ridge | SSIM over source "
            "| texture | contrast |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {name} | {of['pairs']} | {of['objects']} x {of['lightings']} "
            f"| {of['levels']['source'][METRIC]:.2f} | {cell(of['gain'][METRIC])} | {cell(of['over_ridge'])} "
            f"| {cell(of['gain']['ssim'], 3)} | {ratio(of['ratios'], 'texture')} "
            f"| {ratio(of['ratios'], 'contrast')} |"
            for name, of in of_light.items()
        ]
        lines.append("")
    lines += [
        "![Source, output and target of each set](../images/materials_relit.png)",
        "",
        "*By the map, unchosen: source, output, target. Rows: glass, mirror-like metal, fine texture, rest.*",
        "",
    ]
    return "\n".join(lines)


def picture(folder: Path, material: dict[str, str]) -> np.ndarray:
    """A row for each set, of strips that are spread evenly over its pairs."""
    rows = []
    for name in (GLASS, MIRROR, TEXTURE, OTHER):
        keys = sorted(key for key, of in material.items() if of == name)
        places = np.linspace(0, len(keys) - 1, _STRIPS).round().astype(int)
        rows.append(np.concatenate([read_image(folder / f"map-{keys[place]}.png") for place in places], 1))
    return np.concatenate(rows)


if __name__ == "__main__":
    main()
