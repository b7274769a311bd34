"""What follows from a diffusion's schedule: the bridge pinned at both its ends, and four predictions that are
one.

With alpha, sigma of `pairbridge.training.bridge.noise_schedules` and SNR = alpha^2 / sigma^2, the process
that is at x_a at time s_a and at the data x1 at s = 0 is between them, at s_b < s_a,

    x_b ~ N(A x_a + B x1, c^2 I),   A = (alpha_b / alpha_a) SNR_a / SNR_b,   B = alpha_b (1 - SNR_a / SNR_b),
                                    c^2 = sigma_b^2 (1 - SNR_a / SNR_b)

(arXiv 2309.16948, Eq. 8; 2302.05872, Eq. 11, where alpha = 1). From noise, x = alpha x1 + sigma eps, and

    score    grad log p(x) = -eps / sigma
    velocity dx/ds = -decay x - noise_rate score / 2                   of the ODE with the same marginals

(arXiv 2011.13456, Eq. 13). All tensors broadcast; nothing here draws a random number.
"""

from torch import Tensor

from pairbridge.training.bridge.noise_schedules import NoiseSchedule


def bridge_coefficients(schedule: NoiseSchedule, s_a: Tensor, s_b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(A, B, c) of a point at s_b between a point at s_a and the data at 0; 0 <= s_b <= s_a, and 0 < s_a."""
    alpha_a, alpha_b = schedule.alpha(s_a), schedule.alpha(s_b)
    variance_a, variance_b = schedule.variance(s_a), schedule.variance(s_b)
    first = alpha_a * variance_b / (alpha_b * variance_a)
    # SNR_a / SNR_b, with nothing divided by what is 0 at the data.
    ratio = first * alpha_a / alpha_b
    return first, alpha_b * (1 - ratio), (variance_b * (1 - ratio)).clamp(min=0).sqrt()


def noise_of(schedule: NoiseSchedule, x: Tensor, x1: Tensor, s: Tensor) -> Tensor:
    """eps of x = alpha x1 + sigma eps; 0 < s."""
    return (x - schedule.alpha(s) * x1) / schedule.variance(s).sqrt()


def score_of(schedule: NoiseSchedule, x: Tensor, x1: Tensor, s: Tensor) -> Tensor:
    """grad log p of the noised data at x, where x1 is the mean of the data given x; 0 < s."""
    return (schedule.alpha(s) * x1 - x) / schedule.variance(s)


def velocity_of(schedule: NoiseSchedule, x: Tensor, x1: Tensor, s: Tensor) -> Tensor:
    """dx/ds of the probability flow ODE at x, where x1 is the mean of the data given x; 0 < s."""
    return -schedule.decay(s) * x - schedule.noise_rate(s) / 2 * score_of(schedule, x, x1, s)


def data_of_noise(schedule: NoiseSchedule, x: Tensor, eps: Tensor, s: Tensor) -> Tensor:
    """The mean of the data given x, of a prediction of the noise."""
    return (x - schedule.variance(s).sqrt() * eps) / schedule.alpha(s)


def data_of_score(schedule: NoiseSchedule, x: Tensor, score: Tensor, s: Tensor) -> Tensor:
    """The mean of the data given x, of the score there (Tweedie)."""
    return (x + schedule.variance(s) * score) / schedule.alpha(s)


def data_of_velocity(schedule: NoiseSchedule, x: Tensor, velocity: Tensor, s: Tensor) -> Tensor:
    """The mean of the data given x, of the probability flow's velocity there."""
    score = -2 * (velocity + schedule.decay(s) * x) / schedule.noise_rate(s)
    return data_of_score(schedule, x, score, s)
