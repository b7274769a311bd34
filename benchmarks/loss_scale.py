"""Does a proposed scale of the losses (`balance`) spare the search for their weight, on images?

    python -m benchmarks.loss_scale [--runs runs] [--out docs/benchmarks]

Trains a relighting bridge for 250 steps on drawn balls of 32x32 (resumable), and edits 12 of its test pairs
towards other balls' colours with the shipped config `foreground-colours`, whose weight of 100 was chosen by
hand on another model: at weights from a hundredth to a hundred times of it, as they are and with `balance`.
Figures are those of `asymmetric_guidance`: medians, with 95 % intervals of a bootstrap over the pairs. Writes
`loss_scale.json` and `.md`. On one thread.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from benchmarks.asymmetric_guidance import edit, held_out_cases, judge
from pairbridge.datagen.core.seeds import rng
from pairbridge.pipelines.reading.config_files import find_config, load_config
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.guidance.guide_config import GuideConfig
from tests.support.toy_relighting import write_toy_dataset

RECIPE, PAIRS = "relighting", 12
SPLITS = {"train": 400, "validation": 20, "test": 32}
TRAINING = ("steps=250", "size=32", "threads=1", "checkpoint_every=50", "loader_workers=0")
NETWORK = ("denoiser.widths=[16,32,48]",)
# Weight of the colour loss, and balance.
CASES = (
    (1.0, None),
    (100.0, None),
    (10_000.0, None),
    (1.0, 1.0),
    (10_000.0, 1.0),
    (100.0, 0.3),
    (100.0, 3.0),
)
COLUMNS = {"loss_left": "colour loss left", "follows": "lightness follows", "detail": "fine detail"}
RESAMPLES = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run = (arguments.runs / "balls").absolute()
    if not (run / "dataset").exists():
        write_toy_dataset(run / "dataset", RECIPE, SPLITS)
    mix = MixConfig.model_validate({"sources": [{"name": "r", "path": "run:dataset", "recipe": RECIPE}]})
    training = load_config(find_config("training", "relighting-small"), TrainingConfig, [*TRAINING, *NETWORK])
    model = TranslationModel.load(train(training, mix, run / "train", run_root=run).checkpoint)
    config = load_config(
        find_config("guidance", "foreground-colours"), GuideConfig, ["losses.0.reference=none.png"]
    )
    cases = held_out_cases(run / "dataset", RECIPE, PAIRS)
    unguided = [edit(model, case, config, {"mcg_scale": 0.0, "inner_steps": 0}) for case in cases]
    rows = []
    for weight, balance in CASES:
        colours = config.losses[0].model_copy(update={"weight": weight})
        losses = (colours, *config.losses[1:])
        chosen = config.model_copy(update={"losses": losses, "balance": balance})
        found = judge(cases, unguided, [edit(model, case, chosen, {}) for case in cases])
        rows.append({"weight": weight, "balance": balance, **{key: median(found[key]) for key in COLUMNS}})
        print(rows[-1], flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "loss_scale.json").write_text(
        json.dumps({"pairs": PAIRS, "rows": rows}, indent=1) + "\n"
    )
    (arguments.out / "loss_scale.md").write_text(markdown(rows))


def median(values: list[float]) -> list[float]:
    """The median, and the ends of its interval."""
    draws = rng(0, "loss scale").choice(values, (RESAMPLES, len(values)))
    return [float(np.median(values)), *np.quantile(np.median(draws, axis=1), (0.025, 0.975)).tolist()]


def markdown(rows: list[dict]) -> str:
    lines = [
        "# The scale of an edit's loss, on images",
        "",
        f"{PAIRS} test pairs of drawn balls, medians with 95 % intervals over the pairs; what each column is"
        " stands at the top of",
        "`benchmarks/asymmetric_guidance.py`. `python -m benchmarks.loss_scale` writes this page.",
        "",
        f"| weight of the loss | balance | {' | '.join(COLUMNS.values())} |",
        "|---|---|" + "---|" * len(COLUMNS),
    ]
    for row in rows:
        cells = ["{:.3f} [{:.3f}, {:.3f}]".format(*row[key]) for key in COLUMNS]
        balance = "" if row["balance"] is None else f"{row['balance']:g}"
        lines.append(f"| {row['weight']:g} | {balance} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
