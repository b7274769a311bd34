"""Does data of many objects teach what data of one cannot? One network, trained on each, removes k of n.

    python -m benchmarks.removal [--runs runs] [--seeds 1] [--steps N] [--as-is] [--out docs/benchmarks]

Makes the dataset `removal-many-small` (rooms of five and six objects, three of four with twins, one to four
removed) and the same with one object in each room, and trains the network of `removal-many-small` on each for
as many steps, with the object visible and careless masks. Both then remove one, two, three and four objects
from the same unseen rooms, by exact masks, boxes, masks a fifth too small and shifted ones. Everything is
resumable. Writes `removal.json`, `removal.md` and the picture `removal.png`; ends with 1 where the network of
many objects misses a goal.
"""

import argparse
import itertools
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pairbridge.datagen.core.seeds import rng, seed31
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.shards.sample import params_of
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.inference.training_progress import show_training
from pairbridge.pipelines.pages.sheets import Item, Section, contact_sheet, write_png
from pairbridge.pipelines.reading.config_files import find_config, load_config
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import Pair, PairSource
from pairbridge.training.data.role_choice import RoleChoice
from pairbridge.training.engine.checkpoint import checkpoint_folders, read_state, read_tensors
from pairbridge.training.evaluation.baselines import inpaint
from pairbridge.training.evaluation.metrics import Interval, bootstrap_interval, psnr

NAME, RECIPE = "removal-many-small", "removal"
# What one-object rooms are beside those of many; their object is as large and may be anywhere.
SINGLE = {
    "pairs_per_group": 1,
    "hidden": [1, 1],
    "twins": 0.0,
    "objects": [1, 1],
    "fill": [0.2, 0.4],
    "offset": [-0.25, 0.25],
}
SINGLE_GROUPS = {"train": 150, "test": 12}
# Masks that are judged, all of them of one amount.
MASKS: dict[str, RoleChoice] = {
    "exact": RoleChoice(hole="visible"),
    "box": RoleChoice(hole="visible", masks={"box": 1}),
    "shrunk": RoleChoice(hole="visible", masks={"shrunk": 1}, mask_amounts={"shrunk": (0.2, 0.2)}),
    "shifted": RoleChoice(hole="visible", masks={"shifted": 1}, mask_amounts={"shifted": (0.15, 0.15)}),
}
LABELS = {
    "exact": "exact",
    "box": "box",
    "shrunk": "20 % too small",
    "shifted": "shifted by 0.15 of its size",
}
COUNTS = (1, 2, 3, 4)
# A twin's pixel tells where target and plate differ by as many levels; a twin has so many of them; it is kept
# where as many of them are nearer to the target.
CLEAR, LEAST_CLEAR, KEPT = 16, 10, 0.9
LEAST_EFFECT_PX = 10
BATCH = 16
# Strengths of an effect that are told apart, |source - target| in levels.
STRENGTHS = (0, 4, 8, 16, 32, 256)
GOALS = {"twins_kept": 0.99, "effect_left": 0.25, "four_against_one_db": -1.0}

# Pairs of one mask -> what a method makes of them.
Method = Callable[[Sequence[Pair]], Sequence[np.ndarray]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--seeds", type=int, default=1, help="Trainings of each network.")
    parser.add_argument("--steps", type=int, default=None, help="Of each training, in place of the config's.")
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--as-is", action="store_true", help="Judge what is trained so far, at one step.")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    root = (arguments.runs / "removal-benchmark").absolute()
    folders = {
        name: [root / name / f"train-{seed}" for seed in range(arguments.seeds)]
        for name in ("many", "single")
    }
    if not arguments.as_is:
        for name, config in {"many": many_objects(), "single": one_object()}.items():
            generate(config, root / name / "dataset", workers=os.cpu_count() or 1)
            for seed, folder in enumerate(folders[name]):
                train_one(folder, seed, arguments.steps)
    step = newest_of_all([folder for of_name in folders.values() for folder in of_name])
    models = {
        name: [TranslationModel.load(folder / "checkpoints" / step) for folder in of_name]
        for name, of_name in folders.items()
    }
    found = measure(models, root, arguments.split)
    found["trained"] = {name: told(root / name, folders[name][0] / "checkpoints" / step) for name in models}
    page = markdown(found)
    print(page)
    if arguments.split == "test":
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "removal.json").write_text(json.dumps(found, indent=1) + "\n")
        (arguments.out / "removal.md").write_text(page)
        write_png(arguments.images / "removal.png", picture(models, root))
    sys.exit(not all(goal["met"] for goal in found["goals"].values()))


def many_objects() -> DatasetConfig:
    return load_config(find_config("datasets", NAME), DatasetConfig)


def one_object() -> DatasetConfig:
    """The dataset of many objects, but for what SINGLE says."""
    raw = many_objects().model_dump(mode="json")
    recipe = {**raw["recipes"][RECIPE], **SINGLE, "groups": SINGLE_GROUPS}
    return DatasetConfig.model_validate({**raw, "name": "removal-single-small", "recipes": {RECIPE: recipe}})


def train_one(folder: Path, seed: int, steps: int | None) -> None:
    """The network of one seed, on the dataset beside `folder`."""
    config = load_config(find_config("training", NAME), TrainingConfig)
    config = config.model_copy(update={"seed": seed, "steps": steps or config.steps})
    mix = load_config(find_config("mixes", NAME), MixConfig)
    with show_training(config.steps) as progress:
        train(config, mix, folder, run_root=folder.parent, on_progress=progress)


def newest_of_all(folders: Sequence[Path]) -> str:
    """Name of the newest checkpoint that every training has."""
    there = [{one.name for one in checkpoint_folders(folder / "checkpoints")} for folder in folders]
    return max(set.intersection(*there))


def told(folder: Path, checkpoint: Path) -> dict[str, Any]:
    """What a network was trained on, and how long."""
    pairs = PairSource(folder / "dataset", RECIPE, "train")
    state = read_state(checkpoint)
    return {
        "rooms": len({pairs.store.read(place, ())[0]["group"] for place in range(len(pairs))}),
        "pairs": len(pairs),
        "steps": state.step,
        "schedule": state.config["steps"],
        "parameters": sum(weights.numel() for weights in read_tensors(checkpoint, "ema").values()),
    }


@dataclass(frozen=True, slots=True)
class Judged:
    """One output. Sums over pixels of mean |difference| over channels, in levels of 255; None: no such
    region.
    """

    group: str
    removed: int
    changed_psnr: float
    outside_psnr: float | None
    effect_left: float | None
    effect_was: float | None
    twin_pixels: int
    twin_nearer: int


def measure(models: dict[str, list[TranslationModel]], root: Path, split: str) -> dict[str, Any]:
    """Figures by network, mask and number of removed objects, and whether the goals are met."""
    methods: dict[str, list[Method]] = {
        name: [of_model(model) for model in seeds] for name, seeds in models.items()
    }
    methods["inpaint"] = [lambda pairs: [inpaint(pair.source, pair.mask) for pair in pairs]]
    table: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in methods}
    for kind, roles in MASKS.items():
        rooms = whole_rooms(root / "many" / "dataset", split, roles)
        for name, seeds in methods.items():
            rows = [row for method in seeds for row in judge(method, rooms)]
            table[name][kind] = {
                **{str(count): summary([row for row in rows if row.removed == count]) for count in COUNTS},
                "four_against_one_db": asdict(four_against_one(rows)),
            }
    rooms = whole_rooms(root / "many" / "dataset", split, MASKS["exact"])
    strengths = {name: by_strength(seeds[0], rooms) for name, seeds in methods.items() if name in models}
    single_rooms = whole_rooms(root / "single" / "dataset", "test", MASKS["exact"])
    own = {
        name: summary([row for method in seeds for row in judge(method, single_rooms)])
        for name, seeds in methods.items()
    }
    return {
        "split": split,
        "seeds": len(models["many"]),
        "masks": list(MASKS),
        "table": table,
        "one_object_rooms": own,
        "effect_by_strength": strengths,
        "goals": goals(table["many"]),
    }


def of_model(model: TranslationModel) -> Method:
    def translated(pairs: Sequence[Pair]) -> list[np.ndarray]:
        made: list[np.ndarray] = []
        for first in range(0, len(pairs), BATCH):
            batch = pairs[first : first + BATCH]
            seeds = [seed31(0, "removal", pair.key) for pair in batch]
            pictures, masks = (np.stack([getattr(pair, end) for pair in batch]) for end in ("source", "mask"))
            made += list(model.translate_batch(pictures, masks, steps=1, seed=seeds))
        return made

    return translated


def whole_rooms(dataset: Path, split: str, roles: RoleChoice) -> list[tuple[Pair, dict[str, np.ndarray]]]:
    """Pairs whose source shows every object, and what else is known of them: of one room, one to four objects
    go from the same picture.
    """
    source = PairSource(dataset, RECIPE, split, roles=roles)
    found = []
    for place in range(len(source)):
        meta, fields = source.store.read(place, ("effect", "visible", "instance", "plate"))
        if not params_of(meta)["absent"]:
            found.append((source.pair(place), fields))
    return found


def judge(method: Method, rooms: Sequence[tuple[Pair, dict[str, np.ndarray]]]) -> list[Judged]:
    outputs = method([pair for pair, _ in rooms])
    return [figures(pair, output, fields) for (pair, fields), output in zip(rooms, outputs, strict=True)]


def by_strength(
    method: Method, rooms: Sequence[tuple[Pair, dict[str, np.ndarray]]]
) -> list[dict[str, float]]:
    """What is left of faint and of strong effects."""
    left, was = [], []
    for (pair, fields), output in zip(rooms, method([pair for pair, _ in rooms]), strict=True):
        beside = (fields["effect"] > 0) & (fields["visible"] == 0)
        for found, image in ((left, output), (was, pair.source)):
            found.append(np.abs(image.astype(np.float64) - pair.target).mean(axis=2)[beside])
    off, source = np.concatenate(left), np.concatenate(was)
    rows = []
    for low, high in itertools.pairwise(STRENGTHS):
        here = (source >= low) & (source < high)
        rows.append(
            {
                "from": low,
                "pixels": float(here.mean()),
                "effect": float(source[here].sum() / source.sum()),
                "left": float(off[here].sum() / max(source[here].sum(), 1)),
            }
        )
    return rows


def figures(pair: Pair, output: np.ndarray, fields: dict[str, np.ndarray]) -> Judged:
    params = params_of(pair.meta)
    off, was = (
        np.abs(image.astype(np.float64) - pair.target).mean(axis=2) for image in (output, pair.source)
    )
    square = np.square(output.astype(np.float64) - pair.target).mean(axis=2)
    effect, seen = fields["effect"] > 0, fields["visible"] > 0
    outside = (pair.source == pair.target).all(axis=2)
    beside = effect & ~seen
    enough = beside.sum() >= LEAST_EFFECT_PX
    nearer = twin_nearer(output, pair.target, pair.mask, fields, params)
    return Judged(
        group=str(pair.meta["group"]),
        removed=len(params["removed"]),
        changed_psnr=psnr(float(square[effect].mean())),
        outside_psnr=psnr(float(square[outside].mean())) if outside.any() else None,
        effect_left=float(off[beside].sum()) if enough else None,
        effect_was=float(was[beside].sum()) if enough else None,
        twin_pixels=len(nearer),
        twin_nearer=int(nearer.sum()),
    )


def twin_nearer(
    output: np.ndarray,
    target: np.ndarray,
    mask: np.ndarray,
    fields: dict[str, np.ndarray],
    params: dict[str, Any],
) -> np.ndarray:
    """Of the clear pixels of a removed object's twin that the mask does not cover, whether the output is
    nearer to the target, which shows the twin, than to the plate, which does not.
    """
    ids = [entry["id"] for entry in params["objects"]]
    gone = {ids[index] for index in params["removed"]}
    twins = [at for at, name in enumerate(ids) if name in gone and at not in params["removed"]]
    shown = np.isin(fields["instance"], [1 + at for at in twins]) & (mask == 0)
    made, kept, bare = (image.astype(np.float64) for image in (output, target, fields["plate"]))
    clear = shown & (np.abs(bare - kept).max(axis=2) >= CLEAR)
    to_target, to_plate = (np.abs(made - image).sum(axis=2)[clear] for image in (kept, bare))
    return to_target < to_plate


def summary(rows: Sequence[Judged]) -> dict[str, Any]:
    """Means and intervals over rooms, of pairs that remove the same number."""
    groups = [row.group for row in rows]
    outside = [row for row in rows if row.outside_psnr is not None]
    lit = [row for row in rows if row.effect_left is not None]
    twins = [row for row in rows if row.twin_pixels >= LEAST_CLEAR]
    return {
        "pairs": len(rows),
        "rooms": len(set(groups)),
        "changed_psnr": asdict(bootstrap_interval([row.changed_psnr for row in rows], groups, seed=0)),
        "outside_psnr": asdict(
            bootstrap_interval([row.outside_psnr for row in outside], [row.group for row in outside], seed=0)
        ),
        "effect_left": asdict(
            ratio_interval(
                [row.effect_left for row in lit],
                [row.effect_was for row in lit],
                [row.group for row in lit],
            )
        ),
        "twins": len(twins),
        "twins_kept": twins
        and asdict(
            bootstrap_interval(
                [float(row.twin_nearer >= KEPT * row.twin_pixels) for row in twins],
                [row.group for row in twins],
                seed=0,
            )
        ),
        "twin_pixels_kept": twins
        and asdict(
            ratio_interval(
                [row.twin_nearer for row in twins],
                [row.twin_pixels for row in twins],
                [row.group for row in twins],
            )
        ),
    }


def ratio_interval(above: Sequence[float], below: Sequence[float], groups: Sequence[str]) -> Interval:
    """The ratio of two sums, and its 95 % percentile bootstrap over groups."""
    _, owner = np.unique(np.asarray(groups), return_inverse=True)
    sums, totals = (np.bincount(owner, weights=np.asarray(values, float)) for values in (above, below))
    draws = rng(0, "bootstrap").multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=2000)
    low, high = np.quantile((draws @ sums) / (draws @ totals), [0.025, 0.975])
    return Interval(mean=float(sums.sum() / totals.sum()), low=float(low), high=float(high))


def four_against_one(rows: Sequence[Judged]) -> Interval:
    """PSNR of the changed region with four objects removed minus that with one, room by room."""
    means = {
        count: {
            group: float(
                np.mean([row.changed_psnr for row in rows if (row.group, row.removed) == (group, count)])
            )
            for group in {row.group for row in rows if row.removed == count}
        }
        for count in (1, 4)
    }
    both = sorted(means[1].keys() & means[4].keys())
    return bootstrap_interval([means[4][group] - means[1][group] for group in both], both, seed=0)


def goals(table: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The worst case of every goal over masks and numbers, and whether it is met."""
    cells = [(kind, count) for kind in MASKS for count in map(str, COUNTS)]
    kept = min(table[kind][count]["twins_kept"]["mean"] for kind, count in cells)
    left = max(table[kind][count]["effect_left"]["mean"] for kind, count in cells)
    four = min(table[kind]["four_against_one_db"]["mean"] for kind in MASKS)
    return {
        "twins_kept": {"worst": kept, "met": kept >= GOALS["twins_kept"]},
        "effect_left": {"worst": left, "met": left <= GOALS["effect_left"]},
        "four_against_one_db": {"worst": four, "met": four >= GOALS["four_against_one_db"]},
    }


def markdown(found: dict[str, Any]) -> str:
    trained_on = found["trained"]
    many, single = trained_on["many"], trained_on["single"]
    seeds = "1 training seed each" if found["seeds"] == 1 else f"{found['seeds']} training seeds each"
    lines = [
        "# Removal of k of n objects",
        "",
        f"`python -m benchmarks.removal`: a network of {many['parameters'] / 1e6:.1f} million parameters at",
        f"64x64, trained {many['steps']} steps on pairs of rooms with five and six objects, three of four",
        f"with twins ({many['rooms']} rooms, {many['pairs']} pairs), and the same network, steps and masks",
        f"on rooms with one object ({single['rooms']} rooms and pairs); {seeds}.",
        "Objects stay visible, and the mask is a condition. Both are judged on rooms of many objects, of",
        "families and lightings that neither saw; k objects go from the same picture. Means with 95 %",
        "bootstrap intervals over rooms.",
        *(
            [f"Both were judged before the end of their schedule of {many['schedule']} steps."]
            if many["steps"] < many["schedule"]
            else []
        ),
        "",
        "- PSNR changed: of the region that the removal changes; outside: where source and target are equal.",
        "- Effect left: mean |output - target| over that of the source, where the objects' shadows,",
        "  reflections and bounced light are and the objects are not.",
        f"- Twins kept: twins of a removed object of whose clear pixels outside the mask {100 * KEPT:.0f} %",
        "  are nearer to the target than to the room without objects. Clear: the two differ by "
        f"{CLEAR} levels",
        f"  or more; twins with fewer than {LEAST_CLEAR} clear pixels are not counted.",
        "",
    ]
    titles = {
        "many": "Trained on many objects",
        "single": "Trained on one object",
        "inpaint": "Inpainting from the rim",
    }
    for name, title in titles.items():
        lines += [
            f"## {title}",
            "",
            "| mask | k | PSNR changed, dB | PSNR outside, dB | effect left, % | twins kept, % (of) "
            "| their pixels, % |",
            "|---|---|---|---|---|---|---|",
        ]
        for kind in MASKS:
            for count in map(str, COUNTS):
                cell = found["table"][name][kind][count]
                lines.append(
                    f"| {LABELS[kind]} | {count} | {shown(cell['changed_psnr'])} | "
                    f"{shown(cell['outside_psnr'])} | {shown(cell['effect_left'], 100, 0)} | "
                    f"{shown(cell['twins_kept'], 100, 0)} ({cell['twins']}) | "
                    f"{shown(cell['twin_pixels_kept'], 100)} |"
                )
        lines += [
            "",
            "k = 4 against k = 1, PSNR of the changed region: "
            + ", ".join(
                f"{LABELS[kind]} {shown(found['table'][name][kind]['four_against_one_db'], sign='+')}"
                for kind in MASKS
            )
            + " dB.",
            "",
        ]
    control = found["one_object_rooms"]
    lines += [
        "## Each in unseen rooms with one object, exact masks",
        "",
        "| network | PSNR changed, dB | effect left, % |",
        "|---|---|---|",
        *(
            f"| {titles[name]} | {shown(cell['changed_psnr'])} | {shown(cell['effect_left'], 100, 0)} |"
            for name, cell in control.items()
        ),
        "",
        "## What is left of faint and of strong effects, exact masks, all k",
        "",
        "Most of what objects change beside themselves is faint: light that they bounce and soft ends of",
        "shadows.",
        "",
        "| change, levels of 255 | its share of the region, % | of the effect, % "
        "| left by the network of many, % | of one, % |",
        "|---|---|---|---|---|",
        *(
            f"| from {many_row['from']} | {100 * many_row['pixels']:.0f} | {100 * many_row['effect']:.0f} | "
            f"{100 * many_row['left']:.0f} | {100 * single_row['left']:.0f} |"
            for many_row, single_row in zip(
                *(found["effect_by_strength"][name] for name in ("many", "single")), strict=True
            )
        ),
        "",
        "## Goals, in the worst of all masks and k",
        "",
        "| goal | network of many objects | met |",
        "|---|---|---|",
        f"| twins kept, at least 99 % | {100 * found['goals']['twins_kept']['worst']:.1f} % | "
        f"{met(found, 'twins_kept')} |",
        f"| effect left, at most 25 % | {100 * found['goals']['effect_left']['worst']:.0f} % | "
        f"{met(found, 'effect_left')} |",
        f"| k = 4 within 1 dB of k = 1 | {found['goals']['four_against_one_db']['worst']:+.2f} dB | "
        f"{met(found, 'four_against_one_db')} |",
        "",
        "![Source, mask, target and the outputs of both networks](../images/removal.png)",
        "",
    ]
    return "\n".join(lines)


def met(found: dict[str, Any], goal: str) -> Literal["yes", "**no**"]:
    return "yes" if found["goals"][goal]["met"] else "**no**"


def shown(value: dict[str, float], scale: float = 1, digits: int = 1, sign: str = "") -> str:
    if not value:
        return "none"
    mean, low, high = (f"{scale * value[name]:{sign}.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def picture(models: dict[str, list[TranslationModel]], root: Path) -> np.ndarray:
    """Of rooms spread evenly over the test side, one for each number of removed objects and each mask."""
    methods = {name: of_model(seeds[0]) for name, seeds in models.items()}
    items = []
    for at, (kind, roles) in enumerate(MASKS.items()):
        pairs = PairSource(root / "many" / "dataset", RECIPE, "test", roles=roles)
        planned = [params_of(pairs.store.read(place, ())[0]) for place in range(len(pairs))]
        for count in (COUNTS[at], COUNTS[at - 2]):
            fitting = [
                place
                for place, params in enumerate(planned)
                if not params["absent"] and len(params["removed"]) == count
            ]
            pair = pairs.pair(fitting[(2 * at + 1) * len(fitting) // (2 * len(MASKS))])
            items.append(
                Item(
                    f"{count} removed, mask {LABELS[kind]}",
                    (
                        pair.source,
                        pair.mask,
                        pair.target,
                        *(method([pair])[0] for method in methods.values()),
                    ),
                )
            )
    headings = ("source", "mask", "target", "many objects", "one object")
    return contact_sheet([Section("Removal of k of n objects", headings, tuple(items))], tile=112)


if __name__ == "__main__":
    main()
