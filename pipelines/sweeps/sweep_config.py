"""A sweep: a base run, trained again for every value of what is varied and for every seed."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.training.bridge.timesteps import AnyTimesteps
from pairbridge.training.evaluation.metrics import METRICS

Axis = Literal["synthetic_share", "sigma", "pixel_weight", "timesteps", "nfe"]
AXES: tuple[Axis, ...] = ("synthetic_share", "sigma", "pixel_weight", "timesteps", "nfe")
Share = Annotated[float, Field(ge=0, le=1)]


class Grid(FrozenModel):
    """Every combination of the values given; what is left out stays as in the base run. One plot."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]
    """Name of the grid and of its plot's file: lower-case letters, digits, _ and -."""
    title: str
    """Title above the plot."""
    x: Axis
    """Hyperparameter along the x axis of the plot; it needs values in this grid."""
    lines: Axis | None = None
    """Hyperparameter with one line of the plot per value; null: one line. Others take one value at most."""
    synthetic_share: tuple[Share, ...] = ()
    """Fractions, 0 to 1, of the samples that come from the `synthetic` sources. The mix keeps its proportions
    within these sources and within the others."""
    sigma: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """Values of the bridge's noise level sigma, in latent units."""
    pixel_weight: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """Weights of the pixel loss (the paper's lambda)."""
    timesteps: Mapping[str, AnyTimesteps] = {}
    """Distributions of the training timesteps, each under a name for the plot."""
    nfe: tuple[PositiveInt, ...] = ()
    """Numbers of network evaluations (NFE) per image. They are evaluated on one trained model."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not len(getattr(self, self.x)):
            raise ValueError(f"x is {self.x}, which has no values")
        several = [axis for axis in AXES if len(getattr(self, axis)) > 1 and axis not in (self.x, self.lines)]
        if several or self.x == self.lines:
            raise ValueError(
                f"{several or self.x}: only x and lines, two different ones, may have several values"
            )
        return self


class SweepConfig(FrozenModel):
    """Each training is made once, whichever grids want it."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]
    """Name of the sweep and of its folder: lower-case letters, digits, _ and -."""
    run: str
    """Base run: a YAML file's path relative to this file, or the name of a shipped run."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0, 1, 2)
    """Random seeds of weights, data order and noise. Each point is trained once per seed, and error bars are
    over them."""
    synthetic: tuple[str, ...] = ()
    """Names of the mix's sources that count as synthetic; `synthetic_share` needs them."""
    metric: str = "foreground_psnr"
    """Metric on the y axis of the plots, one of those that the evaluation computes."""
    grids: Annotated[tuple[Grid, ...], Field(min_length=1)]
    """Grids of hyperparameters; each gives one plot."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(grid.synthetic_share for grid in self.grids) and not self.synthetic:
            raise ValueError("synthetic_share needs `synthetic`, the names of the sources it is the share of")
        if self.metric not in METRICS:
            raise ValueError(f"metric {self.metric!r} is none of {', '.join(METRICS)}")
        names = [grid.name for grid in self.grids]
        if len(set(names)) != len(names):
            raise ValueError(f"grid names {names} repeat")
        return self
