"""Two targets for every source, the smallest distillation that can lose one (notes/bridges.md 8, T11).

x0 ~ N(0, I) in the plane, x1 = x0 + s A + r z with A = (1.5, 0), r = 0.25 and s = -1 or +1, equally likely.
The teacher knows the source and is exact; student and critic are small perceptrons.
"""

from dataclasses import astuple, dataclass

import torch
from torch import Tensor

from benchmarks.plane_laws import MODE_OFFSET, MODE_STD, PlaneNetwork, two_modes, wasserstein2
from pairbridge.training.bridge.bridges import BrownianBridge
from pairbridge.training.bridge.samplers import FieldFn
from pairbridge.training.bridge.timesteps import Timesteps
from pairbridge.training.distillation.distillation_equations import (
    Multistep,
    draw_student,
    matching_error,
    student_loss,
    student_sample,
)
from pairbridge.training.engine.ema import EmaSettings
from pairbridge.training.engine.learner import Learner
from pairbridge.training.engine.optimiser import OptimiserConfig

MODE = torch.tensor(MODE_OFFSET)
ONE_STEP = (0.0,)
BATCH = 512
JUDGED = 5
# Half-life of the student's moving average, which is judged as it is what a distillation saves, in its steps.
HALF_LIFE = 0.17578125
CRITIC = OptimiserConfig(
    learning_rate=1e-3, betas=(0.0, 0.99), weight_decay=0, warmup_images=0, schedule="constant"
)
STUDENT = CRITIC.model_copy(update={"learning_rate": 5e-4})


def teacher(x0: Tensor, sigma: float) -> FieldFn:
    """The exact drift given x0, (B, 2)."""

    def field(x: Tensor, t: Tensor) -> Tensor:
        s = t[:, None]
        variance = (s * MODE_STD) ** 2 + sigma**2 * s * (1 - s)
        # Cells of both modes first: (2, B, 2).
        centre = x0 + torch.stack([-MODE, MODE])[:, None]
        away = x - x0 - s * (centre - x0)
        # Where variance is 0 so is what it divides: at the source both modes are equally likely.
        safe = variance.clamp(min=1e-20)
        likely = torch.softmax(-away.square().sum(-1, keepdim=True) / (2 * safe), dim=0)
        estimate = (likely * (centre + s * MODE_STD**2 / safe * away)).sum(0)
        return (estimate - x) / (1 - s)

    return field


@dataclass(frozen=True)
class Outcome:
    """W2 of joint samples (x0, x1), its floor (true pairs against others) and the share of the + mode."""

    w2: float
    floor: float
    share: float


@dataclass(frozen=True)
class Effort:
    """Steps of the critic that come first, those that go with each of the student's, and the student's."""

    critic_warm_up: int
    critic_steps: int
    student_steps: int


# What the tables in docs/benchmarks were made with.
FULL = Effort(critic_warm_up=1500, critic_steps=5, student_steps=2000)


class TwoModes:
    """A student, a critic and their steps."""

    def __init__(self, sigma: float, timesteps: Timesteps, seed: int, effort: Effort = FULL) -> None:
        self.bridge, self.timesteps = BrownianBridge(sigma=sigma), timesteps
        self._effort = effort
        self.generator = torch.Generator().manual_seed(seed)
        self.student = PlaneNetwork(seed=2 * seed, width=96, beside=2)
        self.critic = PlaneNetwork(seed=2 * seed + 1, width=96, beside=5)
        ema = EmaSettings(half_life=HALF_LIFE * effort.student_steps)
        self._student = Learner(self.student, STUDENT, total_images=1, ema=ema)
        self._critic = Learner(self.critic, CRITIC, total_images=1)

    def sample(self, x0: Tensor, draws) -> Tensor:
        def field(x: Tensor, t: Tensor, z: Tensor) -> Tensor:
            return self.student(x, t, z)

        return student_sample(field, x0, ONE_STEP, draws, self.bridge, Multistep.CHAIN)

    def critic_field(self, x0: Tensor) -> FieldFn:
        def field(x: Tensor, t: Tensor) -> Tensor:
            # Noise in its own units and times on a logarithmic scale: not to be found in the decimals.
            s = t[:, None]
            unit = torch.sqrt((s * MODE_STD) ** 2 + self.bridge.sigma**2 * s * (1 - s)).clamp(min=1e-6)
            decades = torch.log10(s.clamp(min=1e-6)) / 3 + 1
            estimate = x0 + self.critic(x, t, x0, (x - x0) / unit, decades)
            return (estimate - x) / (1 - s)

        return field

    def _draw(self) -> tuple[Tensor, object]:
        x0, _ = two_modes(BATCH, self.generator)
        t = self.timesteps.sample(BATCH, self.generator)
        return x0, draw_student(x0.shape, t, 1, self.generator)

    def step_critic(self) -> None:
        x0, draws = self._draw()
        with torch.no_grad():
            x1 = self.sample(x0, draws)
        error = matching_error(self.critic_field(x0), x0, x1, draws.t, draws.eps, self.bridge)
        self._critic.descend(lambda critic, rows: {"loss": error}, rows=BATCH, images=0)

    def step_student(self) -> None:
        x0, draws = self._draw()
        field = teacher(x0, self.bridge.sigma)
        with self._critic.frozen():
            loss = student_loss(field, self.critic_field(x0), x0, self.sample(x0, draws), draws, self.bridge)
            self._student.descend(lambda student, rows: {"loss": loss.per_sample}, rows=BATCH, images=0)

    def fit(self) -> "TwoModes":
        for _ in range(self._effort.critic_warm_up):
            self.step_critic()
        for _ in range(self._effort.student_steps):
            for _ in range(self._effort.critic_steps):
                self.step_critic()
            self.step_student()
        return self

    @torch.no_grad()
    def judge(self, n: int = 2000) -> Outcome:
        """Means over `JUDGED` samples: of one, the share alone is uncertain by 0.011, and W2 with it."""
        generator = torch.Generator().manual_seed(99)
        with self._student.averaged():
            outcomes = [self._judge_once(n, generator) for _ in range(JUDGED)]
        w2, floor, share = (sum(values) / JUDGED for values in zip(*map(astuple, outcomes), strict=True))
        return Outcome(w2, floor, share)

    def _judge_once(self, n: int, generator: torch.Generator) -> Outcome:
        x0, _ = two_modes(n, generator)
        made = self.sample(x0, draw_student(x0.shape, torch.zeros(n), 1, generator))
        true = [torch.cat(two_modes(n, generator), dim=1) for _ in range(2)]
        return Outcome(
            w2=wasserstein2(torch.cat([x0, made], dim=1), true[0]),
            floor=wasserstein2(true[1], true[0]),
            share=float(((made - x0)[:, 0] > 0).float().mean()),
        )
