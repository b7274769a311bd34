"""What does each part of asymmetric gradient guidance do, on an exact model, where no network errs?

    python -m benchmarks.toy_asymmetric [--seeds 5] [--out docs/benchmarks]

The two Gaussian blobs of tests/training/guidance/blobs.py and their exact diffusion model: samples of the
left blob are inverted and edited by a hinge loss that wants the first coordinate at 1, the middle of the
right one; the second coordinate is free, and is to stay. Rows are the paper's ablations but one: no ViT loss
means nothing here. Per row, mean and 95 % interval over the seeds:

    moved     share of the samples that are nearer to the right blob
    kept      mean distance of the free coordinate to the source's
    log p     mean log density under both blobs: whether what was moved is still likely
    SFID      squared distance of the mean to that of the right blob (frechet.mean_distance)
    Fréchet   squared 2-Wasserstein distance of Gaussians with both moments

Then the scale of the edit loss, as it is and proposed (`balance`). Writes `toy_asymmetric.json` and `.md`. On
one thread.
"""

import argparse
import json
import math
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from scipy.stats import t as student
from torch import Tensor

from pairbridge.training.guidance.guidance_equations import GuidanceConfig, guide, invert, proposed_scale
from pairbridge.training.perceptual.frechet import FeatureMoments, frechet_distance, mean_distance
from tests.training.guidance.blobs import CENTRES, STD, TIMES, blob_model, left_blob

SAMPLES = 512
WINDOW = (0.4, 0.6)
VARIANTS = {
    "all": {},
    "symmetric": {"symmetric": True},
    "gradient step alone": {"inner_steps": 0},
    "inner steps alone (DDS)": {"mcg_scale": 0.0},
    "without structure": {"structure_weight": 0.0},
    "neither (inversion and back)": {"mcg_scale": 0.0, "inner_steps": 0},
}
HINGE = 2.0
# Factors of the hinge loss, and `balance` of the proposed scale. 3 is about what 2 is beside structure 1.
SCALES = (0.02, 0.2, 2.0, 20.0, 200.0)
PROPOSED = ((0.02, 3.0), (200.0, 3.0), (2.0, 1.0), (2.0, 2.0), (2.0, 5.0), (2.0, 10.0))
COLUMNS = {"moved": 2, "kept": 3, "log_p": 2, "sfid": 4, "frechet": 3}
TITLES = ("moved", "kept", "log p", "SFID", "Fréchet")

Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    def over_seeds(edit: Callable[[int], Figures]) -> dict[str, list[float]]:
        """Mean, and half the width of the interval."""
        found = [edit(seed) for seed in range(arguments.seeds)]
        half = float(student.ppf(0.975, len(found) - 1)) / len(found) ** 0.5
        return {
            name: [
                statistics.mean(one[name] for one in found),
                half * statistics.stdev(one[name] for one in found),
            ]
            for name in COLUMNS
        }

    parts = {
        name: over_seeds(lambda seed, changes=changes: edited(seed, HINGE, changes))
        for name, changes in VARIANTS.items()
    }
    scales = {
        f"{scale:g}{f', balance {balance:g}' if balance else ''}": over_seeds(
            lambda seed, scale=scale, balance=balance: edited(seed, scale, {}, balance)
        )
        for scale, balance in [*((scale, None) for scale in SCALES), *PROPOSED]
    }
    result = {"samples": SAMPLES, "seeds": arguments.seeds, "parts": parts, "scales": scales}
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "toy_asymmetric.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "toy_asymmetric.md").write_text(markdown(result))
    print(markdown(result))


def edited(seed: int, hinge: float, changes: dict, balance: float | None = None) -> Figures:
    model, clean = blob_model(), left_blob(SAMPLES, seed)
    start, stored = invert(model, clean, TIMES)
    config = GuidanceConfig(window=WINDOW, **changes)

    def loss(x1: Tensor, t: float) -> Tensor:
        return hinge * torch.relu(1 - x1[:, 0])

    factor = proposed_scale(loss, TIMES, stored, config, balance) if balance else 1.0
    generator = torch.Generator().manual_seed(seed)
    return judged(
        guide(model, start, TIMES, stored, lambda x1, t: factor * loss(x1, t), config, generator), clean, seed
    )


def judged(found: Tensor, clean: Tensor, seed: int) -> Figures:
    away = (found[:, None] - CENTRES).square().sum(-1) / (2 * STD**2)
    log_p = torch.logsumexp(-away, dim=1).mean() - math.log(2 * math.tau * STD**2)
    right = left_blob(SAMPLES, 1000 + seed) - CENTRES[0] + CENTRES[1]
    of_found, of_right = FeatureMoments(), FeatureMoments()
    of_found.add(found.numpy())
    of_right.add(right.numpy())
    return {
        "moved": float((found[:, 0] > 0).double().mean()),
        "kept": float((found[:, 1] - clean[:, 1]).abs().mean()),
        "log_p": float(log_p),
        "sfid": mean_distance(of_found, of_right),
        "frechet": frechet_distance(of_found, of_right),
    }


def markdown(result: dict) -> str:
    def table(first: str, rows: dict[str, dict[str, list[float]]]) -> list[str]:
        return [
            f"| {first} | {' | '.join(TITLES)} |",
            "|---|" + "---|" * len(TITLES),
            *(
                f"| {name} | "
                + " | ".join(
                    f"{row[column][0]:.{digits}f} ± {row[column][1]:.{digits}f}"
                    for column, digits in COLUMNS.items()
                )
                + " |"
                for name, row in rows.items()
            ),
            "",
        ]

    return "\n".join(
        [
            "# Asymmetric gradient guidance between two blobs",
            "",
            f"{result['samples']} samples a row, {result['seeds']} seeds, mean ± half the 95 % interval over"
            " them; what each column is stands at the",
            "top of `benchmarks/toy_asymmetric.py`, which writes this page.",
            "",
            *table("stages", result["parts"]),
            "The ViT loss of the paper's ablations has no meaning in the plane; on images it is a row of",
            "[asymmetric guidance](asymmetric_guidance.md) where a DINO folder is given.",
            "",
            "## The scale of the edit loss",
            "",
            *table("factor of the hinge loss", result["scales"]),
        ]
    )


if __name__ == "__main__":
    main()
