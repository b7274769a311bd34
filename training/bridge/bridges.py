"""Bridges by name: the process between a source and a target whose field a network learns."""

from typing import Annotated, ClassVar, Literal, Protocol, Self

import torch
from pydantic import Discriminator, Field, Tag, model_validator
from torch import Tensor

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.user_code import UserCode
from pairbridge.training.bridge import equations
from pairbridge.training.bridge.diffusion_equations import bridge_coefficients, velocity_of
from pairbridge.training.bridge.equations import BridgeField
from pairbridge.training.bridge.noise_schedules import AnySchedule, I2sbSchedule, VpSchedule


class BridgeProcess(Protocol):
    """What training and sampling ask of a bridge. One of the user's own is made as `Class(**settings)`
    wherever it is used: it keeps no state.

    Tensors are (B, ...) latents, t (B,) and a < b floats in [0, 1]: 0 is the source x0, 1 the target x1.
    `eps` is standard normal noise like x0, and is x0 itself where the bridge starts at noise.
    """

    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """A point x_t between both ends."""

    def regression_target(self, x0: Tensor, x1: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """What the network is to predict at (x_t, t). `loss.latent_weighting: estimate` takes it for a
        slope."""

    def estimate_target(self, x_t: Tensor, v: Tensor, t: Tensor) -> Tensor:
        """The target that a prediction v at (x_t, t) points to."""

    def posterior_step(self, x_a: Tensor, x1: Tensor, a: float, b: float, eps: Tensor) -> Tensor:
        """A point x_b given the point x_a and the end x1; x1 at b = 1."""

    # Whether an ODE leads from x0 to the target's law: then `ode_velocity(x_t, v, t)` is its dx/dt.
    is_flow: bool


class BrownianBridge(FrozenModel):
    """The bridge of LBM; a flow where sigma is 0."""

    kind: Literal["brownian"] = "brownian"
    """Selects this variant."""
    sigma: float = Field(default=0.02, ge=0)
    """Noise of the bridge in latent units. Haar latents are orthonormal: this is noise per pixel on the [-1,
    1] scale."""
    field: BridgeField = BridgeField.DRIFT
    """The network's regression target: the bridge's drift, or the velocity x1 - x0 of released LBM
    weights."""
    start: Literal["source", "noise"] = "source"
    """Where the path begins. source: at the source's latent. noise: at standard normal noise, as flow
    matching does to generate; the source is then seen only where `source` is among denoiser.conditions."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.start == "noise" and self.sigma:
            raise ValueError("start noise is a flow: set sigma to 0, its noise is all at the start")
        return self

    @property
    def is_flow(self) -> bool:
        return self.sigma == 0

    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        return equations.interpolate(x0, x1, t, eps, self.sigma)

    def regression_target(self, x0: Tensor, x1: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return equations.regression_target(self.field, x0, x1, x_t, t)

    def estimate_target(self, x_t: Tensor, v: Tensor, t: Tensor) -> Tensor:
        return equations.estimate_target(x_t, v, t)

    def posterior_step(self, x_a: Tensor, x1: Tensor, a: float, b: float, eps: Tensor) -> Tensor:
        return equations.posterior_step(x_a, x1, a, b, eps, self.sigma)

    def ode_velocity(self, x_t: Tensor, v: Tensor, t: Tensor) -> Tensor:
        return v


class DiffusionBridge(FrozenModel):
    """The bridge of I2SB and DDBM, a diffusion from the target outwards that is pinned at the source; from
    noise, the diffusion itself, whose ODE is the flow along the variance preserving path.

    The network's regression target is the slope (x1 - x_t) / (1 - t), as everywhere: it stands for the target
    that it points to, and score, noise and velocity follow (`diffusion_equations`).
    """

    # It is no Brownian bridge of one sigma: what needs that refuses it.
    sigma: ClassVar[None] = None

    kind: Literal["diffusion"] = "diffusion"
    """Selects this variant."""
    schedule: AnySchedule = I2sbSchedule()
    """Noise by time: kind i2sb or vp."""
    start: Literal["source", "noise"] = "source"
    """Where the path begins: at the source's latent, or at standard normal noise, which needs schedule.kind
    vp."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.start == "noise" and not isinstance(self.schedule, VpSchedule):
            raise ValueError("start noise is the end of a variance preserving diffusion: schedule {kind: vp}")
        return self

    @property
    def is_flow(self) -> bool:
        return self.start == "noise"

    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        s = 1 - equations.times_over(t, x0)
        if self.start == "noise":
            return self.schedule.alpha(s) * x1 + self.schedule.variance(s).sqrt() * x0
        of_source, of_target, spread = bridge_coefficients(self.schedule, torch.ones_like(s), s)
        return of_source * x0 + of_target * x1 + spread * eps

    def regression_target(self, x0: Tensor, x1: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return equations.drift(x_t, x1, t)

    def estimate_target(self, x_t: Tensor, v: Tensor, t: Tensor) -> Tensor:
        return equations.estimate_target(x_t, v, t)

    def posterior_step(self, x_a: Tensor, x1: Tensor, a: float, b: float, eps: Tensor) -> Tensor:
        s_a, s_b = (x_a.new_tensor(1 - time) for time in (a, b))
        of_point, of_target, spread = bridge_coefficients(self.schedule, s_a, s_b)
        return of_point * x_a + of_target * x1 + spread * eps

    def ode_velocity(self, x_t: Tensor, v: Tensor, t: Tensor) -> Tensor:
        """dx/dt of the ODE from noise; t runs against the diffusion's s."""
        s = 1 - equations.times_over(t, x_t)
        return -velocity_of(self.schedule, x_t, self.estimate_target(x_t, v, t), s)


class OwnBridge(UserCode):
    """A class of the user's own: a `BridgeProcess`, made from its settings."""

    named_by: ClassVar[str] = "bridge"
    group: ClassVar[str] = "pairbridge.bridges"
    method: ClassVar[str] = "posterior_step"
    # Unknown: what needs a Brownian bridge or a flow, such as most samplers, refuses it.
    sigma: ClassVar[None] = None
    is_flow: ClassVar[bool] = False

    kind: Literal["own"] = "own"
    """Selects this variant."""
    bridge: str
    """The bridge's class: path/to/file.py:Class, or the name of an entry point."""
    start: Literal["source", "noise"] = "source"
    """Where the path begins: at the source's latent, or at standard normal noise."""

    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        return self.make().interpolate(x0, x1, t, eps)

    def regression_target(self, x0: Tensor, x1: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return self.make().regression_target(x0, x1, x_t, t)

    def estimate_target(self, x_t: Tensor, v: Tensor, t: Tensor) -> Tensor:
        return self.make().estimate_target(x_t, v, t)

    def posterior_step(self, x_a: Tensor, x1: Tensor, a: float, b: float, eps: Tensor) -> Tensor:
        return self.make().posterior_step(x_a, x1, a, b, eps)


def _kind_of(value: object) -> str:
    """A Brownian bridge where a config says nothing else."""
    return value.get("kind", "brownian") if isinstance(value, dict) else getattr(value, "kind", "brownian")


AnyBridge = Annotated[
    Annotated[BrownianBridge, Tag("brownian")]
    | Annotated[DiffusionBridge, Tag("diffusion")]
    | Annotated[OwnBridge, Tag("own")],
    Discriminator(_kind_of),
]
