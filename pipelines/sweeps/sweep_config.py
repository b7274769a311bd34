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
    title: str
    x: Axis
    """What runs along the plot, and what tells its lines apart; only these may have several values."""
    lines: Axis | None = None
    synthetic_share: tuple[Share, ...] = ()
    """Share of the samples that come from the `synthetic` sources; within them, and within the others, the
    mix's proportions stay."""
    sigma: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """Noise of the bridge, in latent units."""
    pixel_weight: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """Weight of the pixel loss (the paper's lambda)."""
    timesteps: Mapping[str, AnyTimesteps] = {}
    """Distributions of t, by a name for the plot."""
    nfe: tuple[PositiveInt, ...] = ()
    """Network evaluations an image. Models are not trained anew for these."""

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
    run: str
    """A run's YAML file, relative to this one, or the name of a shipped one."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0, 1, 2)
    """Of weights, order of the data and noise; error bars are over these."""
    synthetic: tuple[str, ...] = ()
    """Which sources of the mix are synthetic."""
    metric: str = "foreground_psnr"
    """What is plotted."""
    grids: Annotated[tuple[Grid, ...], Field(min_length=1)]

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
