"""What `pairbridge plan --cost` foretells, held against real runs: mixed recipes, unequal assets.

For each of three datasets of shipped recipes, of about ten minutes or more on two cores: measure some groups
as the command does, reckon the wall time, then make the dataset with `generate`, with a Ray of its own, and
compare. `--foretell-again` measures and reckons anew and
compares with the real run that the JSON file holds of the same dataset.

    heavy objects    balls of 20 k to 1.3 M triangles (.ply, .obj), written here, beside the embedded families
"""

import argparse
import contextlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.pipelines.costing.cost_estimate import Prices, estimate_cost
from pairbridge.pipelines.costing.cost_measuring import measure
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.reading.config_files import find_config, load_config
from pairbridge.pipelines.shelves.ledger import read_ledger

LARGEST_ERROR = 0.2
# What a row keeps of the real run.
MADE = ("real_s", "real_gb", "quarantined", "real_s_per_group")
# Triangles of the large meshes, and the format of each.
MESHES = (("ply", 20_000), ("ply", 320_000), ("ply", 1_300_000), ("obj", 80_000), ("obj", 500_000))

_LIGHT = {"hdri": 0.5, "sky": 0.3, "rig": 0.2}
# What the shipped recipes cost less here: few samples, one pair of each group.
_SAMPLES = 4
_SIZES = {"sizes": {"budgets": {128: 0.3, 256: 0.4, 512: 0.3}, "aspect": [0.25, 4.0]}}


def scenes(folder: Path) -> dict[str, Any]:
    """Relighting, removal and shadows as they are shipped, but of fewer pixels; aspects 0.25 to 4."""
    return _dataset(
        "bench-scenes",
        relighting={**_shipped("relighting", "relighting", 63), **_SIZES, "lightings_per_group": 2},
        removal={**_shipped("removal", "removal", 52), **_SIZES},
        shadows={**_shipped("shadows", "shadows", 76), **_SIZES},
    )


def truths(folder: Path) -> dict[str, Any]:
    """Geometry, controllable relighting and restoration as shipped, but of renders: photographs are few."""
    rendered = {"targets_from": {"photo": 0.15, "render": 0.85}}
    return _dataset(
        "bench-truths",
        geometry=_shipped("geometry", "geometry", 56),
        controllable=_shipped("controllable", "controllable", 19),
        blind={**_shipped("restoration", "blind", 155), **rendered},
        single={**_shipped("restoration", "single", 370), **rendered},
    )


def unequal(folder: Path) -> dict[str, Any]:
    """People as they are shipped; small relighting, a third of it of files from light to heavy."""
    small = {"kind": "relighting_swap", "size_WH": [128, 128], "lighting_kinds": _LIGHT, "standing": 0.5}
    return _dataset(
        "bench-unequal",
        assets={"objects": [str(_write_meshes(folder / "objects"))]},
        people={
            **_shipped("people", "relighting", 97),
            **_SIZES,
            "lightings_per_group": 2,
            "objects_share": 0.0,
        },
        small={
            **small,
            "groups": {"train": 294},
            "pairs_per_group": 2,
            "objects": [1, 2],
            "objects_share": 0.35,
        },
    )


DATASETS = {"scenes": scenes, "truths": truths, "unequal": unequal}


def _shipped(config: str, recipe: str, groups: int) -> dict[str, Any]:
    shipped = load_config(find_config("datasets", config), DatasetConfig).recipes[recipe]
    return {**shipped.model_dump(mode="json"), "groups": {"train": groups}, "pairs_per_group": 1}


def _dataset(name: str, assets: dict[str, Any] | None = None, **recipes: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "seed": 17,
        "assets": assets or {},
        "render": {"samples": _SAMPLES},
        "lightings": {"width": 512, "skies": {"train": 20}, "rigs": {"train": 10}, "blends": {"train": 4}},
        "groups_per_shard": 20,
        "recipes": recipes,
    }


def _write_meshes(folder: Path) -> Path:
    """Dented balls of very different sizes, pinned to training."""
    folder.mkdir(parents=True)
    lines = []
    for suffix, triangles in MESHES:
        name = f"ball-{triangles}-{suffix}"
        vertices, faces = _ball(triangles)
        write = _write_ply if suffix == "ply" else _write_obj
        write(folder / f"{name}.{suffix}", vertices, faces)
        lines.append(f"{name}: {{split: train, licence: CC0-1.0}}\n")
    (folder / "catalogue.yaml").write_text("".join(lines))
    return folder


def _ball(triangles: int) -> tuple[np.ndarray, np.ndarray]:
    rings = round((triangles / 4) ** 0.5)
    sides = 2 * rings
    theta, phi = np.meshgrid(
        np.linspace(0.01, np.pi - 0.01, rings + 1), np.arange(sides) * 2 * np.pi / sides, indexing="ij"
    )
    radius = 1 + 0.2 * np.sin(5 * phi) * np.sin(theta) ** 2 + 0.01 * np.sin(60 * theta)
    vertices = (
        np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
        * radius[..., None]
    )
    ring, side = np.meshgrid(np.arange(rings), np.arange(sides), indexing="ij")
    here, beside = ring * sides + side, ring * sides + (side + 1) % sides
    faces = np.concatenate(
        [np.stack([here, here + sides, beside], -1), np.stack([beside, here + sides, beside + sides], -1)]
    )
    return vertices.reshape(-1, 3).astype("<f4"), faces.reshape(-1, 3).astype("<i4")


def _write_ply(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.empty(len(faces), np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
    rows["count"], rows["corners"] = 3, faces
    path.write_bytes(header.encode() + vertices.tobytes() + rows.tobytes())


def _write_obj(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    with path.open("w") as stream:
        np.savetxt(stream, vertices, fmt="v %.5f %.5f %.5f")
        np.savetxt(stream, faces + 1, fmt="f %d %d %d")


def compare(
    name: str, folder: Path, workers: int, seconds: float, made: dict[str, Any] | None
) -> dict[str, Any]:
    """One dataset: foretold, made (or `made` before), compared."""
    config = DatasetConfig.model_validate(DATASETS[name](folder))
    load = round(os.getloadavg()[0], 1)
    found = measure(config, workers=workers, address=None, seconds=seconds)
    estimate = estimate_cost(found, None, Prices())
    (site,) = estimate["sites"]
    groups = {recipe_id: recipe.groups["train"] for recipe_id, recipe in config.recipes.items()}
    if made is None:
        made = make(config, folder / name, workers)
    elif (made["groups"], made["workers"]) != (groups, workers):
        raise SystemExit(f"{name}: the real run in the JSON file was of other groups or workers")
    error = site["wall_s"] / made["real_s"] - 1
    return {
        "dataset": name,
        "groups": groups,
        "workers": workers,
        "load_average_before": load,
        "measuring_s": round(estimate["measuring_s"], 1),
        "measured_groups": {row["recipe"]: row["measured_groups"] for row in estimate["recipes"]},
        "foretold_s": round(site["wall_s"], 1),
        "nine_in_ten_s": [round(site["wall_s_low"], 1), round(site["wall_s_high"], 1)],
        "error": round(error, 3),
        "met": bool(abs(error) <= LARGEST_ERROR),
        "foretold_gb": round(estimate["gigabytes"], 4),
        "foretold_s_per_group": {
            row["recipe"]: round(row["seconds_per_group"], 3) for row in estimate["recipes"]
        },
        "before_groups_s": round(found.before_s, 2),
        **{key: made[key] for key in MADE},
    }


def make(config: DatasetConfig, out: Path, workers: int) -> dict[str, Any]:
    """What the real run took."""
    began = time.monotonic()
    result = generate(config, out, workers=workers, on_progress=lambda snapshot: None)
    wall_s = time.monotonic() - began
    assert verify_dataset(out).ok
    return {
        "real_s": round(wall_s, 1),
        "real_gb": round(sum(path.stat().st_size for path in (out / "shards").glob("*.tar")) / 1e9, 4),
        "quarantined": result.num_quarantined,
        "real_s_per_group": _means([each for each in read_ledger(out) if each["event"] == "group"]),
    }


def _means(groups: list[dict[str, Any]]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for event in groups:
        recipe = event["shard"].removeprefix("train-").rpartition("-")[0]
        found.setdefault(recipe, []).append(event["wall_s"])
    return {recipe: round(sum(values) / len(values), 3) for recipe, values in sorted(found.items())}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", nargs="+", choices=list(DATASETS), default=list(DATASETS))
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement, at most")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="the file whose entries are replaced")
    parser.add_argument("--foretell-again", action="store_true", help="against the real run in --json")
    parser.add_argument("--keep", type=Path, help="where the datasets stay; else they are removed")
    arguments = parser.parse_args()
    there = json.loads(arguments.json.read_text()) if arguments.json and arguments.json.exists() else {}
    if arguments.foretell_again and not there.keys() >= set(arguments.datasets):
        parser.error("--foretell-again needs --json with a real run of each dataset")
    for name in arguments.datasets:
        with contextlib.ExitStack() as stack:
            folder = arguments.keep or Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="pairbridge-cost-"))
            )
            made = there[name] if arguments.foretell_again else None
            row = compare(name, folder, arguments.workers, arguments.seconds, made)
        print(json.dumps(row, indent=1), flush=True)
        print(
            f"{name}: {row['foretold_s']} s foretold, {row['real_s']} s real, error {row['error']:+.1%}: "
            + ("met" if row["met"] else "MISSED"),
            flush=True,
        )
        if arguments.json:
            there[name] = row
            arguments.json.write_text(json.dumps(there, indent=1) + "\n")


if __name__ == "__main__":
    main()
