"""From a sweep's grids to the trainings and evaluations that they need. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.json_digest import digest
from pairbridge.pipelines.runs.run_config import Run
from pairbridge.pipelines.sweeps.sweep_config import AXES, Grid, SweepConfig
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.mix_config import MixConfig, MixSource


@dataclass(frozen=True, slots=True)
class Cell:
    """One model judged once. `values` are the grid's axes, as written; equal `model` are equal trainings."""

    grid: str
    values: dict[str, Any]
    seed: int
    training: TrainingConfig
    mix: MixConfig
    nfe: int

    @property
    def model(self) -> str:
        facts = {
            "training": {**self.training.meaning(), "steps": self.training.steps},
            "mix": self.mix.model_dump(mode="json"),
        }
        return digest(facts)[:12]


def cells(sweep: SweepConfig, run: Run) -> Iterator[Cell]:
    """Every point of every grid for every seed, in order. Raises ConfigError for a share of sources that the
    mix does not have.
    """
    for grid in sweep.grids:
        given = [axis for axis in AXES if len(getattr(grid, axis))]
        for combination in product(*(list(getattr(grid, axis)) for axis in given)):
            values = dict(zip(given, combination, strict=True))
            for seed in sweep.seeds:
                yield _cell(sweep, run, grid, values, seed)


def _cell(sweep: SweepConfig, run: Run, grid: Grid, values: dict[str, Any], seed: int) -> Cell:
    base = run.training
    changes: dict[str, Any] = {"seed": seed}
    if "sigma" in values:
        changes["bridge"] = base.bridge.model_copy(update={"sigma": values["sigma"]})
    if "pixel_weight" in values:
        changes["loss"] = base.loss.model_copy(update={"pixel_weight": values["pixel_weight"]})
    if "timesteps" in values:
        changes["timesteps"] = grid.timesteps[values["timesteps"]]
    mix = run.mix.model_copy(update={"seed": seed})
    if "synthetic_share" in values:
        mix = with_synthetic_share(mix, sweep.synthetic, values["synthetic_share"])
    nfe = values.get("nfe", run.evaluation.sampling_steps)
    return Cell(grid.name, values, seed, base.model_copy(update=changes), mix, nfe)


def with_synthetic_share(mix: MixConfig, synthetic: tuple[str, ...], share: float) -> MixConfig:
    """The mix with `share` of its samples from the sources named, to the digit; at 0 and 1 the others go."""
    names = {source.name for source in mix.sources}
    real = names - set(synthetic)
    if not set(synthetic) <= names or (share < 1 and not real):
        raise ConfigError(
            f"the mix has the sources {sorted(names)}, of which {sorted(synthetic)} should be synthetic",
            consequence=f"no mix of {share} synthetic samples could be made of it",
            remedy="name sources of the mix under `synthetic`, and have others beside them",
        )
    weights = {source.name: Fraction(str(source.weight)) for source in mix.sources}
    totals = {True: sum(weights[name] for name in synthetic), False: sum(weights[name] for name in real)}
    wanted = Fraction(str(share))
    if totals[True] == wanted * (totals[True] + totals[False]):
        # Written in other numbers it would be another model.
        return mix

    def reweighted(source: MixSource) -> MixSource:
        is_synthetic = source.name in synthetic
        # Times the other side's total: an integer scale, so that decimals stay short.
        scale = (wanted if is_synthetic else 1 - wanted) * (totals[not is_synthetic] or 1)
        return source.model_copy(update={"weight": float(weights[source.name] * scale)})

    kept = tuple(source for source in map(reweighted, mix.sources) if source.weight)
    return mix.model_copy(update={"sources": kept})
