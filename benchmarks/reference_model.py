"""The relighting model of the package: made from embedded assets alone, judged on what it never saw.

    python -m benchmarks.reference_model [--runs runs] [--out docs/benchmarks] [--images docs/images]
        [--foreign FOLDER] [--model pipelines/models/reference] [--seeds 1 2]

Renders, trains and judges the run `reference` (resumable), and publishes the model as `--model`. `--foreign`
names a folder with `objects` and `hdris` of others, which are rendered as three datasets: floating as the
paper makes its pairs, floating with a drawn exposure and white balance of the source, and standing on the
map's own ground. None of them enters the picture. `--seeds` trains and judges again, from other weights and
in another order. Gains are paired per image; intervals of 95 % are of the crossed bootstrap over objects and
lightings.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.inference.image_files import read_image
from pairbridge.pipelines.inference.publishing import CARD_NAME, publish
from pairbridge.pipelines.pages.sheets import write_png
from pairbridge.pipelines.runs.run_config import Run, load_run
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.evaluation.evaluate import evaluate
from pairbridge.training.evaluation.evaluation_config import EvaluationConfig, EvaluationSource
from pairbridge.training.published.published_folders import CODE_NAME, DIGESTS_NAME

NAME = "reference"
FOREIGN = ("paper", "exposure", "standing")
# By the background alone, by the map of the light to come, and by that of the light that is there, too.
LIGHT = {
    "background": {"withheld": ["light_target", "light_source"]},
    "map": {"roles": {"conditions": ["light_target"]}, "withheld": ["light_source"]},
    "maps": {"roles": {"conditions": ["light_target", "light_source"]}},
}
METRIC = "foreground_psnr"
_COLUMNS = 3


_HEAD = """# The reference model

One network of 2.2 million parameters, trained on pairs of the embedded assets alone, which relights
by the background (*background*), by the environment map of the light to come (*map*), or by it and
that of the light that the source was taken in (*maps*), its exposure included. Written by
`python -m benchmarks.reference_model`; configurations are those of the run `reference`. In brackets
95 % intervals of the crossed bootstrap over objects and lightings, of the training that is published;
*seeds* are the same gain of two more, from other weights and in another order. `foreign` are
objects and maps that nobody here made and that are no part of the repository.

Gains are in dB of foreground PSNR, over the untouched source and over the ridge regression that is
best on the judged pairs (a colour shift; with maps also shifts across the object, of lights times
colours, and factors on linear light), fitted on the same training pairs, which sees the same. SSIM
and contrast (luma deviation under the mask over the target's, median; 1 is right) have the source's
in brackets.

| pairs | number | objects x lightings | source, dB | over source | seeds | over ridge | SSIM | contrast |
|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    parser.add_argument("--foreign", type=Path, default=None)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--seeds", type=int, nargs="*", default=[])
    arguments = parser.parse_args()

    run = load_run(NAME, arguments.runs)
    minutes = {}
    for name, work in (
        ("data", lambda: generate(run.dataset, run.dataset_dir, workers=os.cpu_count() or 1)),
        ("training", lambda: train(run.training, run.mix, run.folder / "train", run_root=run.folder)),
    ):
        began = time.monotonic()
        work()
        minutes[name] = round((time.monotonic() - began) / 60, 1)
    if arguments.foreign:
        generate(foreign_dataset(arguments.foreign), run.folder / "foreign", workers=os.cpu_count() or 1)
    judged = judge(run, "", foreign=bool(arguments.foreign))
    others = {}
    for seed in arguments.seeds:
        training, mix = (one.model_copy(update={"seed": seed}) for one in (run.training, run.mix))
        train(training, mix, run.folder / f"train-{seed}", run_root=run.folder)
        found = judge(run, f"-{seed}", foreign=bool(arguments.foreign))["sources"]
        others[seed] = {name: figures["gains"]["source"][METRIC] for name, figures in found.items()}
    result = {
        "minutes": minutes,
        "steps": run.training.steps,
        "sources": judged["sources"],
        "other_seeds": others,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    page = markdown(result)
    (arguments.out / "reference_model.md").write_text(page)
    kept = {
        name: {key: figures[key] for key in ("pairs", "objects", "lightings", "methods", "gains", "ratios")}
        for name, figures in judged["sources"].items()
    }
    (arguments.out / "reference_model.json").write_text(
        json.dumps({**result, "sources": kept}, indent=1) + "\n"
    )
    shown = picture(run.folder / "evaluation", judged["sources"]["maps"]["samples"])
    write_png(arguments.images / "reference_map.png", shown)
    if arguments.model:
        publish(run.folder, arguments.model)
        leave_out_code(arguments.model)
    print(page)


def judge(run: Run, of: str, *, foreign: bool) -> dict[str, Any]:
    """The evaluation of the training in the run's folder `train` + of; of another seed's beside the source
    alone, since predictors that are fitted have no seed.
    """
    evaluation, folder = evaluation_of(run, foreign=foreign), run.folder
    if of:
        sources = [one.model_copy(update={"against": ("source",)}) for one in evaluation.sources]
        evaluation = evaluation.model_copy(update={"sources": tuple(sources)})
    return evaluate(evaluation, folder / f"train{of}", folder / f"evaluation{of}", run_root=folder)


def leave_out_code(model: Path) -> None:
    """Of a published folder the pipeline for those who have no pairbridge: in the package it would be a copy
    of the package's own code, and fall behind it.
    """
    (model / CODE_NAME).unlink()
    sums, card = model / DIGESTS_NAME, model / CARD_NAME
    kept = [
        line for line in sums.read_text().splitlines(keepends=True) if not line.endswith(f"{CODE_NAME}\n")
    ]
    sums.write_text("".join(kept))
    text = card.read_text()
    first, last = text.index("With torch and diffusers alone"), text.index("`UNet2DModel.from_pretrained`")
    card.write_text(text[:first] + text[last:])


def foreign_dataset(folder: Path) -> DatasetConfig:
    """Objects and maps of others, all of them on the test side."""
    recipe = {
        "kind": "relighting_swap",
        "groups": {"test": 56},
        "pairs_per_group": 2,
        "size_WH": [128, 128],
        "lightings_per_group": 2,
        "lighting_kinds": {"hdri": 1.0},
        "objects_share": 1.0,
        "finish": None,
        "store": ["light_source", "light_target", "normal", "albedo"],
        "strength": [0.81, 1.23],
        "tint": 0.05,
    }
    floating = {
        "standing": 0,
        "scale": "equal",
        "camera": {"composition": {"centred": 1}, "front_share": 0, "roll_deg": 0, "defocus": None},
        "fov_deg": [25, 50],
    }
    as_the_paper = {"strength": [1.0, 1.0], "tint": 0.0}
    return DatasetConfig.model_validate(
        {
            "name": "foreign",
            "seed": 11,
            "assets": {"embedded": False, "objects": [folder / "objects"], "hdris": [folder / "hdris"]},
            "render": {"samples": 24},
            "groups_per_shard": 8,
            "recipes": {
                "paper": {**recipe, **floating, **as_the_paper},
                "exposure": {**recipe, **floating},
                "standing": recipe,
            },
        }
    )


def evaluation_of(run: Run, *, foreign: bool) -> EvaluationConfig:
    """The run's, and each foreign recipe with and without the map."""
    added = [
        EvaluationSource.model_validate(
            {
                "name": f"foreign-{recipe}-{name}",
                "path": "run:foreign",
                "recipe": recipe,
                "fit_path": "run:dataset",
                "fit_recipe": "relighting",
                **sees,
            }
        )
        for recipe in (FOREIGN if foreign else ())
        for name, sees in LIGHT.items()
    ]
    return run.evaluation.model_copy(update={"sources": (*run.evaluation.sources, *added)})


def picture(folder: Path, samples: list[str]) -> np.ndarray:
    """Every other strip of source, output and target, some to a row."""
    strips = [read_image(folder / name) for name in samples[::2]]
    strips = strips[: len(strips) // _COLUMNS * _COLUMNS]
    rows = [np.concatenate(strips[first : first + _COLUMNS], 1) for first in range(0, len(strips), _COLUMNS)]
    return np.concatenate(rows)


def markdown(result: dict[str, Any]) -> str:
    """The page of `reference_model.md`."""

    def cell(figures: dict[str, float], digits: int = 2, sign: str = "+") -> str:
        return (
            f"{figures['mean']:{sign}.{digits}f} [{figures['low']:.{digits}f}, {figures['high']:.{digits}f}]"
        )

    rows = []
    for name, figures in result["sources"].items():
        methods, gains, ratios = (figures[key] for key in ("methods", "gains", "ratios"))
        # The best of them, which is seen on these pairs: to its advantage.
        ridge = max(
            (method for method in methods if method.endswith("ridge")),
            key=lambda method: methods[method][METRIC]["mean"],
        )
        model, source = ratios["model"]["contrast"], ratios["source"]["contrast"]
        seeds = ", ".join(f"{other[name]['mean']:+.2f}" for other in result["other_seeds"].values())
        rows.append(
            f"| {name} | {figures['pairs']} | {figures['objects']} x {figures['lightings']} "
            f"| {methods['source'][METRIC]['mean']:.2f} | {cell(gains['source'][METRIC])} | {seeds} "
            f"| {cell(gains[ridge][METRIC])}, {ridge.replace('_', ' ')} "
            f"| {methods['model']['ssim']['mean']:.3f} ({methods['source']['ssim']['mean']:.3f}) "
            f"| {model['median']:.2f} ({source['median']:.2f}) |"
        )
    minutes = result["minutes"]
    took = f"{result['steps']} steps. Rendering took this command {minutes['data']:.0f} and training"
    return "\n".join([_HEAD, *rows, "", took, f"{minutes['training']:.0f} minutes (0: it was there).", ""])


if __name__ == "__main__":
    main()
