"""Asymmetric gradient guidance: an edit by gradients of a loss, without training.

Kwon and Ye, arXiv 2306.04396. Works on any model that is three callables: a clean estimate, the noise that
goes with it, and the point at another time that both make up. Time runs as everywhere here: t = 1 is the
clean end, and `times` rise. With
x1 = denoise(x, t), n = noise(x, x1, t), L = edit + structure_weight * structure:

    gradient   x1' = x1 - mcg_scale (s^2 / a) dL/dx        through the network; a, s: weights of x1 and n in x
    inner      x1'' = x1' + d,  d by Adam on L(x1' + d)     not through the network
    step       x <- compose(x1'', n, next t)                the noise is that of the unguided estimate

Only the clean estimate moves; the noise part, which carries the layout, does not: that is the asymmetry.
`symmetric` recomputes the noise from x1'', for comparison: it then hardly edits. Structure is the distance of
x1'' to the estimate that an unguided pass stored at the same time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import torch
from diffusers.utils.torch_utils import randn_tensor
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator
from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel

# (clean estimate (B, ...), time) -> loss per sample (B,).
EditLoss = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True, slots=True)
class GuidedModel:
    """`denoise(x, t)` -> x1, `noise(x, x1, t)` -> n, `compose(x1, n, t)` -> x; tensors (B, ...), t a float.

    `compose` is affine with one weight for x1 and one for n, and the inverse of `noise`. `denoise` has to be
    differentiable where `mcg_scale` is not 0.
    """

    denoise: Callable[[Tensor, float], Tensor]
    noise: Callable[[Tensor, Tensor, float], Tensor]
    compose: Callable[[Tensor, Tensor, float], Tensor]

    def weights(self, like: Tensor, t: float) -> tuple[float, float]:
        """(a, s): how much of x at t is x1, and how much is noise; read off `compose`."""
        zero, one = torch.zeros_like(like), torch.ones_like(like)
        nothing = self.compose(zero, zero, t)
        clean, noise = self.compose(one, zero, t) - nothing, self.compose(zero, one, t) - nothing
        return float(clean.flatten()[0]), float(noise.flatten()[0])


class Structure(StrEnum):
    """The distance to the stored estimate, a mean over elements."""

    L1 = "l1"
    L2 = "l2"


class GuidanceConfig(FrozenModel):
    """How strongly, where along the path and by which steps."""

    window: tuple[float, float] = (0.0, 1.0)
    """Times [from, to) at which estimates are guided. Outside, the model goes its own way."""
    mcg_scale: NonNegativeFloat = 1.0
    """Scale of the gradient step through the network, 0 or more. 0 saves that step's backward passes."""
    inner_steps: NonNegativeInt = 5
    """Adam steps on the clean estimate at every time, 0 or more."""
    inner_rate: PositiveFloat = 0.02
    """Learning rate of these Adam steps."""
    structure: Structure = Structure.L1
    """Distance to the unguided estimate: mean absolute (l1) or squared (l2) error."""
    structure_weight: NonNegativeFloat = 1.0
    """Weight of that distance beside the losses, 0 or more."""
    eta: float = Field(0.0, ge=0, le=1)
    """Share of the noise's standard deviation that is drawn anew at every step, in [0, 1]. 0:
    deterministic."""
    symmetric: bool = False
    """Whether the noise is recomputed from the guided estimate, for comparison. It then hardly edits."""

    @model_validator(mode="after")
    def _check(self) -> "GuidanceConfig":
        low, high = self.window
        if not 0 <= low < high <= 1:
            raise ValueError(f"window is [{low}, {high}]; it needs 0 <= from < to <= 1")
        return self


def invert(model: GuidedModel, clean: Tensor, times: Sequence[float]) -> tuple[Tensor, list[Tensor]]:
    """The point at `times[0]` that deterministic sampling takes back to `clean`, and the estimates met.

    `clean` (B, ...) is taken as the point at the last of the rising `times`, as in DDIM inversion: the nearer
    that is to 1 and the more times there are, the smaller the round trip's error. Estimates are in the order
    of `times`.
    """
    _check_times(times)
    x = clean
    stored: list[Tensor] = []
    with torch.no_grad():
        for here, noisier in pairwise([*reversed(times), None]):
            x1 = model.denoise(x, here)
            stored.append(x1)
            if noisier is not None:
                x = model.compose(x1, model.noise(x, x1, here), noisier)
    return x, stored[::-1]


def follow(model: GuidedModel, x: Tensor, times: Sequence[float]) -> tuple[Tensor, list[Tensor]]:
    """The unguided, deterministic end of the path from `x` at `times[0]`, and the estimates on the way."""
    _check_times(times)
    stored: list[Tensor] = []
    with torch.no_grad():
        for here, cleaner in pairwise([*times, None]):
            x1 = model.denoise(x, here)
            stored.append(x1)
            if cleaner is not None:
                x = model.compose(x1, model.noise(x, x1, here), cleaner)
    return stored[-1], stored


def guide(
    model: GuidedModel,
    x: Tensor,
    times: Sequence[float],
    stored: Sequence[Tensor],
    edit: EditLoss,
    config: GuidanceConfig,
    generator: torch.Generator | list[torch.Generator],
    blend: Tensor | None = None,
) -> Tensor:
    """The guided end of the path from `x` (B, ...) at `times[0]`, like x.

    `stored`: an estimate for each of `times`, from `invert` or `follow`. `blend`: weights in [0, 1] that
    broadcast to x; where it is 0 the stored estimate stands in at every time, guided or not. generator: of
    the batch, or one for each sample. Losses are per sample and summed for gradients, so that a sample's
    result does not depend on its batch. Raises ConfigError for times that do not rise within
    [0, 1), or without an estimate each.
    """
    _check_times(times)
    if len(stored) != len(times):
        raise ConfigError(
            f"{len(times)} times and {len(stored)} stored estimates",
            consequence="structure would be compared with that of another time",
            remedy="store them with `invert` or `follow` over the same times",
        )
    x1 = x
    for here, cleaner, kept in zip(times, [*times[1:], None], stored, strict=True):
        x1, noise = _estimate(model, x, here, kept, edit, config, blend)
        if cleaner is not None:
            x = model.compose(x1, _renewed(noise, config.eta, generator), cleaner)
    return x1


def proposed_scale(
    edit: EditLoss, times: Sequence[float], stored: Sequence[Tensor], config: GuidanceConfig, balance: float
) -> Tensor:
    """(B,): the factors of the edit loss at which its slope at the first guided one of the `stored` estimates
    has `balance` times the root mean square of the structure loss's slope one unit away from it.

    That is structure_weight / n per element of n for l1, twice that for l2. So with l1 the structure holds an
    element whose slope is less than 1 / balance of the root mean square, and with l2 a loss of constant
    slope moves the estimate by a root mean square of `balance`. A loss times a constant gives the same edit.
    1 for samples that the loss has no slope at. The estimates are those of the unguided pass, so that no
    network is evaluated. Raises ConfigError where no time is guided.
    """
    guided = [place for place, t in enumerate(times) if config.window[0] <= t < config.window[1]]
    if not guided:
        raise ConfigError(
            f"no time of the path is within the window {list(config.window)}",
            consequence="there is no step to propose a setting from",
            remedy="widen guidance.window, or leave balance out",
        )
    with torch.enable_grad():
        point = stored[guided[0]].detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(edit(point, times[guided[0]]).sum(), point)
    found = slope.flatten(1).square().mean(dim=1).sqrt()
    one_away = config.structure_weight * (1 if config.structure is Structure.L1 else 2) / slope[0].numel()
    return torch.where(found > 0, balance * one_away / found, 1.0)


def _estimate(
    model: GuidedModel,
    x: Tensor,
    t: float,
    stored: Tensor,
    edit: EditLoss,
    config: GuidanceConfig,
    blend: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The (guided) clean estimate at t, and the noise to go on with."""
    if not config.window[0] <= t < config.window[1]:
        with torch.no_grad():
            x1 = model.denoise(x, t)
            return _blended(x1, stored, blend), model.noise(x, x1, t)

    def loss(x1: Tensor) -> Tensor:
        return edit(x1, t) + config.structure_weight * _structure(x1, stored, config.structure)

    x1, moved = _through_network(model, x, t, loss, config.mcg_scale)
    guided = _blended(_inner(moved, loss, config.inner_steps, config.inner_rate), stored, blend)
    with torch.no_grad():
        return guided, model.noise(x, guided if config.symmetric else x1, t)


def _blended(x1: Tensor, stored: Tensor, blend: Tensor | None) -> Tensor:
    return x1 if blend is None else blend * x1 + (1 - blend) * stored


def _through_network(
    model: GuidedModel, x: Tensor, t: float, loss: Callable[[Tensor], Tensor], scale: float
) -> tuple[Tensor, Tensor]:
    """(x1, x1'): the estimate before and after the gradient step at x."""
    clean, noise = model.weights(x, t)
    # Where nothing of x is clean, as at the start of a flow, the step has no size; where nothing is noise,
    # as at the start of a bridge, it is 0.
    if not (scale and clean and noise):
        with torch.no_grad():
            x1 = model.denoise(x, t)
        return x1, x1
    with torch.enable_grad():
        point = x.detach().requires_grad_(True)
        x1 = model.denoise(point, t)
        (gradient,) = torch.autograd.grad(loss(x1).sum(), point)
    x1 = x1.detach()
    return x1, x1 - scale * noise**2 / clean * gradient


def _inner(x1: Tensor, loss: Callable[[Tensor], Tensor], steps: int, rate: float) -> Tensor:
    """x1 after `steps` of Adam on the loss. Adam works element by element: batch mates do not meet."""
    if not steps:
        return x1
    with torch.enable_grad():
        delta = torch.zeros_like(x1, requires_grad=True)
        optimiser = torch.optim.Adam([delta], lr=rate)
        for _ in range(steps):
            optimiser.zero_grad()
            loss(x1 + delta).sum().backward()
            optimiser.step()
    return (x1 + delta).detach()


def _structure(x1: Tensor, stored: Tensor, kind: Structure) -> Tensor:
    difference = (x1 - stored).flatten(1)
    return (difference.abs() if kind is Structure.L1 else difference.square()).mean(dim=1)


def _renewed(noise: Tensor, share: float, generator: torch.Generator | list[torch.Generator]) -> Tensor:
    if not share:
        return noise
    fresh = randn_tensor(noise.shape, generator, noise.device, noise.dtype)
    return (1 - share**2) ** 0.5 * noise + share * fresh


def _check_times(times: Sequence[float]) -> None:
    if not times or times[0] < 0 or times[-1] >= 1 or any(a >= b for a, b in pairwise(times)):
        raise ConfigError(
            f"guidance times {list(times)} do not rise within [0, 1)",
            consequence="the path would not lead from noise to a clean image",
            remedy="give rising times, the last just below 1",
        )
