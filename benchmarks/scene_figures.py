"""What 1,000 planned scenes are like, without a render: stance, sizes, composition, and what touches what.

    python -m benchmarks.scene_figures [--config relighting removal] [--scenes 1000] [--loaded 40]

Plans say who stands, how large things are, where they are in the frame and what they do to each other; some
are loaded into Blender, which settles them and says how near they came.
"""

import argparse
import json
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from pairbridge import plan
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.recipes.scene_draws import load_scene, placed_record
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.scene.arrangements import HELD
from pairbridge.datagen.scene.object_sizes import FAMILY_FACTS
from pairbridge.datagen.shards.layout import GroupSpec
from pairbridge.pipelines.reading.config_files import find_config, load_config


def scenes_of(config: DatasetConfig, count: int) -> tuple[DatasetPlan, list[GroupSpec]]:
    """The first `count` groups of the training side of the config's first recipe."""
    planned = plan(config)
    stream = next(one for one in planned.streams if one.split == "train")
    return planned, [planned.group(stream, number) for number in range(min(count, stream.num_groups))]


def figures(groups: list[GroupSpec]) -> dict[str, Any]:
    """What plans say."""
    sizes: dict[str, list[float]] = defaultdict(list)
    relations: Counter[str] = Counter()
    standing = cut = touching = several = 0
    centres = []
    for group in groups:
        params = group.params
        objects, camera = params["objects"], params["camera"]
        standing += bool(objects[0].get("standing"))
        cut += any(camera.get("beyond") or ())
        centres.append(camera["offset"])
        several += len(objects) > 1
        touching += any(one.get("relation", "apart") != "apart" for one in objects[1:])
        relations.update(one.get("relation", "alone") for one in objects)
        for one in objects:
            family = one["id"].partition(":")[0]
            if family in FAMILY_FACTS and one.get("size_m"):
                sizes[family].append(one["size_m"])
    return {
        "scenes": len(groups),
        "standing": standing / len(groups),
        "cut by the frame": cut / len(groups),
        "centre, standard deviation": [float(value) for value in np.std(centres, axis=0)],
        "centre, 5 and 95 %": np.percentile(centres, [5, 95], axis=0).tolist(),
        "scenes of several objects": several / len(groups),
        "of them, something touches": touching / several if several else None,
        "relations": dict(relations.most_common()),
        "lean on a wall": sum("wall_rad" in one for group in groups for one in group.params["objects"]),
        "sizes_m": {
            family: {
                "median": float(np.median(found)),
                "least": min(found),
                "most": max(found),
                "real": list(FAMILY_FACTS[family].size_m),
                "objects": len(found),
            }
            for family, found in sorted(sizes.items())
        },
    }


def settled(planned: DatasetPlan, groups: list[GroupSpec]) -> dict[str, Any]:
    """What Blender makes of them: distances in millimetres at real size."""
    gaps, grounds, came, held, kept = [], [], Counter(), 0, 0
    with (
        tempfile.TemporaryDirectory() as folder,
        Workbench(
            planned.config.workbench,
            planned.catalogue,
            scratch_dir=Path(folder, "scratch"),
            threads=1,
            log_path=Path(folder, "blender.log"),
        ) as workbench,
    ):
        for group in groups:
            load_scene(group.params, workbench)
            for wanted, one in zip(group.params["objects"], placed_record(workbench)["placed"], strict=True):
                came[one["relation"] or "alone"] += 1
                if wanted.get("relation") in HELD:
                    held += 1
                    kept += one["relation"] == wanted["relation"]
                if one["relation"] not in (None, "apart"):
                    gaps.append(one["gap_mm"])
                if one["ground_mm"] is not None and one["relation"] != "stacked":
                    grounds.append(one["ground_mm"])
    return {
        "scenes": len(groups),
        "relations": dict(came),
        "planned to be stacked or to lean": held,
        "of them, do": kept,
        "largest gap of what touches, mm": max(gaps, default=None),
        "within 1 mm": float(np.mean([gap <= 1 for gap in gaps])) if gaps else None,
        "largest distance from the ground, mm": max(grounds, default=None),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", nargs="+", default=["relighting", "removal", "people"])
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--loaded", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/scene_figures.json"))
    arguments = parser.parse_args()
    # What other benchmarks wrote beside these stays.
    found = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for name in arguments.config:
        config = load_config(find_config("datasets", name), DatasetConfig)
        planned, groups = scenes_of(config, arguments.scenes)
        found[name] = {"planned": figures(groups), "loaded": settled(planned, groups[: arguments.loaded])}
        print(name, json.dumps(found[name], indent=1))
    arguments.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
