"""A student keeps both targets of every source, unless the times of its matching come too late to tell them
apart (notes/bridges.md 8, T11). Three seeds and the table: `benchmarks/distillation.py`.
"""

import pytest
import torch

from benchmarks.plane_laws import two_modes
from pairbridge.training.bridge.bridges import BrownianBridge
from pairbridge.training.bridge.timesteps import UniformTimesteps
from pairbridge.training.distillation.distillation_equations import draw_student, matching_error
from pairbridge.training.distillation.student import timesteps_of
from tests.support.two_modes import Effort, TwoModes, teacher

# A third of what the tables were made with. Of three seeds W2 exceeds its floor by at most 0.014 at sigma 0.5
# and 0.037 at 0.05, the share is 0.49 to 0.53, and with uniform times 0 or 1.
EFFORT = Effort(critic_warm_up=500, critic_steps=4, student_steps=600)
# Points that are judged, five times; the exact distance of 2000 takes longer than the fit.
JUDGED_POINTS = 700


def test_the_teacher_is_the_best_field_of_its_law() -> None:
    """No change of the exact drift lowers its error, and between the modes it points at neither."""
    generator = torch.Generator().manual_seed(0)
    x0, x1 = two_modes(40_000, generator)
    bridge = BrownianBridge(sigma=0.5)
    t = UniformTimesteps(cap=0.9).sample(len(x0), generator)
    draws = draw_student(x0.shape, t, 1, generator)
    exact = teacher(x0, bridge.sigma)

    def error(change: float) -> float:
        def field(x, t):
            return exact(x, t) + change * (x - x0)

        return float(matching_error(field, x0, x1, t, draws.eps, bridge).mean())

    assert error(0.0) < min(error(-0.1), error(0.1))
    torch.testing.assert_close(teacher(x0[:9], 0.5)(x0[:9], torch.zeros(9)), torch.zeros(9, 2))


@pytest.mark.long
@pytest.mark.parametrize(("sigma", "within"), [(0.5, 0.05), (0.05, 0.1)])
def test_the_default_times_keep_both_modes(sigma: float, within: float) -> None:
    outcome = TwoModes(sigma, timesteps_of(sigma, cap=0.98), 0, EFFORT).fit().judge(JUDGED_POINTS)
    assert 0.4 <= outcome.share <= 0.6
    assert outcome.w2 <= outcome.floor + within


@pytest.mark.long
@pytest.mark.xfail(reason="at sigma 0.05 the modes part at t of 0.0003, which uniform times hardly draw")
def test_uniform_times_keep_both_modes_at_small_sigma() -> None:
    outcome = TwoModes(0.05, UniformTimesteps(cap=0.998), 0, EFFORT).fit().judge(JUDGED_POINTS)
    assert 0.4 <= outcome.share <= 0.6
