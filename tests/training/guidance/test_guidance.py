"""Asymmetric gradient guidance against closed forms (a Gaussian prior, two exact blobs)."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.guidance.guidance_equations import (
    GuidanceConfig,
    GuidedModel,
    Structure,
    follow,
    guide,
    invert,
    proposed_scale,
)
from pairbridge.training.guidance.guided_models import bridge_model, diffusion_model, flow_model
from tests.training.guidance.blobs import CENTRES, STD, TIMES, alpha_bar, blob_model, left_blob

# The nineteen noisiest but one fifth: the paper edits the first part of the path and lets the rest settle.
WINDOW = (0.4, 0.6)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def hinge(x1: Tensor, t: float) -> Tensor:
    """Wants the first coordinate at 1 or beyond."""
    return 2 * torch.relu(1 - x1[:, 0])


def nothing(x1: Tensor, t: float) -> Tensor:
    return 0 * x1.flatten(1).sum(1)


def gaussian_model(mean: float, std: float) -> GuidedModel:
    """The exact diffusion model of a prior N(mean, std^2)."""

    def noise(x: Tensor, t: float) -> Tensor:
        kept = alpha_bar(t)
        return (1 - kept) ** 0.5 * (x - kept**0.5 * mean) / (kept * std**2 + 1 - kept)

    return diffusion_model(noise, alpha_bar)


def test_without_losses_it_is_the_plain_path() -> None:
    model, clean = blob_model(), left_blob(64, 1)
    start, stored = invert(model, clean, TIMES)
    plain, _ = follow(model, start, TIMES)
    config = GuidanceConfig(structure_weight=0)
    assert torch.equal(guide(model, start, TIMES, stored, nothing, config, generator()), plain)


def test_inversion_comes_back_and_the_better_the_more_steps() -> None:
    model, clean = blob_model(), left_blob(512, 0)

    def round_trip(times: list[float]) -> float:
        back, _ = follow(model, invert(model, clean, times)[0], times)
        return float((back - clean).square().mean().sqrt())

    assert round_trip(TIMES) == pytest.approx(0.021, abs=0.002)
    assert round_trip(TIMES) < 0.6 * round_trip(TIMES[1::2])


def test_gradient_step_has_the_closed_form_of_a_gaussian_prior() -> None:
    mean, std, t = 0.3, 0.5, TIMES[0]
    model, x = gaussian_model(mean, std), torch.linspace(-1, 1, 7, dtype=torch.float64)[:, None]
    kept = alpha_bar(t)
    jacobian = std**2 * math.sqrt(kept) / (kept * std**2 + 1 - kept)
    config = GuidanceConfig(structure_weight=0, inner_steps=0, mcg_scale=0.7)

    def linear(x1: Tensor, t: float) -> Tensor:
        return 1.5 * x1[:, 0]

    guided = guide(model, x, [t], [x], linear, config, generator())
    expected = model.denoise(x, t) - 0.7 * (1 - kept) / math.sqrt(kept) * jacobian * 1.5
    torch.testing.assert_close(guided, expected)


def test_inner_optimum_of_quadratic_losses_lies_between_goal_and_stored() -> None:
    model, x = gaussian_model(0.0, 0.5), torch.zeros(3, 2, dtype=torch.float64)
    goal, stored, wanted, kept = 0.8, torch.full_like(x, -0.4), 3.0, 2.0

    def quadratic(x1: Tensor, t: float) -> Tensor:
        return wanted * (x1 - goal).square().mean(1)

    config = GuidanceConfig(
        mcg_scale=0, inner_steps=600, inner_rate=0.01, structure="l2", structure_weight=kept
    )
    found = guide(model, x, TIMES[:1], [stored], quadratic, config, generator())
    expected = (wanted * goal + kept * -0.4) / (wanted + kept)
    torch.testing.assert_close(found, torch.full_like(x, expected), atol=1e-3, rtol=0)
    # With L1 the stored estimate wins as long as its weight exceeds the other's slope.
    bound = {"structure": Structure.L1, "structure_weight": 100.0, "inner_rate": 0.004}
    absolute = config.model_copy(update=bound)
    found = guide(model, x, TIMES[:1], [stored], quadratic, absolute, generator())
    torch.testing.assert_close(found, stored, atol=2e-2, rtol=0)


def test_one_inner_iteration_moves_the_sample() -> None:
    model, clean = blob_model(), left_blob(8, 2)
    start, stored = invert(model, clean, TIMES)
    config = GuidanceConfig(window=WINDOW, mcg_scale=0, inner_steps=1)
    plain, _ = follow(model, start, TIMES)
    moved = guide(model, start, TIMES, stored, hinge, config, generator())
    assert (moved - plain).abs().max() > 0.01


def test_a_batch_of_two_is_two_batches_of_one() -> None:
    model, clean = blob_model(), left_blob(2, 3)
    start, stored = invert(model, clean, TIMES)
    config = GuidanceConfig(window=WINDOW)
    both = guide(model, start, TIMES, stored, hinge, config, generator())
    alone = [
        guide(model, start[i : i + 1], TIMES, [s[i : i + 1] for s in stored], hinge, config, generator())
        for i in range(2)
    ]
    torch.testing.assert_close(both, torch.cat(alone))


def test_only_the_clean_part_of_a_step_moves_unless_it_is_symmetric() -> None:
    model = blob_model()

    def guided_noise(config: GuidanceConfig) -> Tensor:
        seen: dict[str, Tensor] = {}

        def compose(x1: Tensor, noise: Tensor, t: float) -> Tensor:
            if t == TIMES[1]:
                seen.setdefault("noise", noise)
            return model.compose(x1, noise, t)

        watched = replace(model, compose=compose)
        guide(watched, start, TIMES[:2], stored[:2], hinge, config, generator())
        return seen["noise"]

    start, stored = invert(model, left_blob(4, 4), TIMES)
    unguided = model.noise(start, model.denoise(start, TIMES[0]), TIMES[0])
    torch.testing.assert_close(guided_noise(GuidanceConfig(window=(0, 1))), unguided)
    symmetric = guided_noise(GuidanceConfig(window=(0, 1), symmetric=True))
    assert (symmetric - unguided).abs().max() > 0.01


def test_edits_reach_the_other_blob_and_keep_the_free_coordinate() -> None:
    """The pattern of the reference figures: both stages edit, DDS alone and the symmetric step hardly do,
    and without structure the samples leave the data.
    """
    model, clean = blob_model(), left_blob(512, 0)
    start, stored = invert(model, clean, TIMES)

    def outcome(**changes) -> tuple[float, float, float]:
        config = GuidanceConfig(window=WINDOW, **changes)
        found = guide(model, start, TIMES, stored, hinge, config, generator())
        away = (found[:, None] - CENTRES).square().sum(-1) / (2 * STD**2)
        log_p = torch.logsumexp(-away, 1).mean() - math.log(2 * math.tau * STD**2)
        moved = (found[:, 0] > 0.5).double().mean()
        return float(moved), float((found[:, 1] - clean[:, 1]).abs().mean()), float(log_p)

    both, gradient_only = outcome(), outcome(inner_steps=0)
    inner_only, symmetric = outcome(mcg_scale=0), outcome(symmetric=True)
    unbound = outcome(structure_weight=0)
    assert both[0] == gradient_only[0] == 1.0
    assert inner_only[0] == pytest.approx(0.42, abs=0.08)
    assert symmetric[0] == pytest.approx(0.33, abs=0.08)
    assert max(case[1] for case in (both, gradient_only, inner_only, symmetric)) < 0.025
    assert [round(case[2], 1) for case in (both, gradient_only, unbound)] == pytest.approx(
        [-4.0, -4.9, -6.5], abs=0.3
    )


def test_blend_keeps_the_stored_estimate_where_it_is_zero() -> None:
    model, clean = blob_model(), left_blob(4, 5)
    start, stored = invert(model, clean, TIMES)
    blend = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    config = GuidanceConfig(window=(0.4, 1.0))
    found = guide(model, start, TIMES, stored, hinge, config, generator(), blend=blend)
    assert torch.equal(found[:, 1], stored[-1][:, 1])
    assert (found[:, 0] - stored[-1][:, 0]).abs().min() > 0.5


@pytest.mark.parametrize("kind", ["flow", "bridge"])
def test_flows_and_bridges_follow_their_exact_fields(kind: str) -> None:
    """Data N(-1 + 0.8 x0, 0.36) for the bridge, N(-1, 0.36) from unit noise for the flow: mean and spread of
    the unguided end, and an edit that shifts it.
    """
    draws = torch.Generator().manual_seed(7)
    count, sigma, variance = 4000, 0.5, 0.36
    x0 = torch.randn(count, 1, generator=draws, dtype=torch.float64)
    boot = torch.randn(count, 1, generator=draws, dtype=torch.float64)
    times = [k / 200 for k in range(200)]
    if kind == "flow":
        mean = torch.full_like(x0, -1.0)

        def field(x: Tensor, t: Tensor) -> Tensor:
            s = t[:, None]
            total = (1 - s) ** 2 + s**2 * variance
            return mean + (s * variance - (1 - s)) / total * (x - s * mean)

        model, start = flow_model(field), x0
    else:
        mean = -1 + 0.8 * x0

        def field(x: Tensor, t: Tensor) -> Tensor:
            s = t[:, None]
            total = s**2 * variance + sigma**2 * s * (1 - s)
            gain = torch.where(total > 0, s * variance / total.clamp_min(1e-12), torch.zeros_like(s))
            x1 = mean + gain * (x - (1 - s) * x0 - s * mean)
            return (x1 - x) / (1 - s)

        model, start = bridge_model(field, x0, sigma, boot), x0
    end, stored = follow(model, start, times)
    assert float((end - mean).mean()) == pytest.approx(0, abs=0.04)
    assert float((end - mean).var()) == pytest.approx(variance, abs=0.04)

    def upwards(x1: Tensor, t: float) -> Tensor:
        return torch.relu(0.5 - x1).mean(1)

    config = GuidanceConfig(window=(0.3, 1.0), structure_weight=0.2)
    edited = guide(model, start, times, stored, upwards, config, generator())
    assert float((edited - end).mean()) > 0.3


def test_stochastic_steps_are_seeded_and_differ() -> None:
    model, clean = blob_model(), left_blob(4, 6)
    start, stored = invert(model, clean, TIMES)
    config = GuidanceConfig(window=WINDOW, eta=0.5)
    one, same = (guide(model, start, TIMES, stored, hinge, config, generator()) for _ in range(2))
    other = guide(model, start, TIMES, stored, hinge, config, torch.Generator().manual_seed(1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("structure", ["l1", "l2"])
def test_a_proposed_scale_makes_an_edit_of_a_loss_times_any_number(structure: str) -> None:
    model, clean = blob_model(), left_blob(32, 9)
    start, stored = invert(model, clean, TIMES)
    config = GuidanceConfig(window=WINDOW, structure=structure)

    def edited(times_loss: float) -> Tensor:
        def edit(x1: Tensor, t: float) -> Tensor:
            return times_loss * hinge(x1, t)

        factor = proposed_scale(edit, TIMES, stored, config, 2.0)
        return guide(model, start, TIMES, stored, lambda x1, t: factor * edit(x1, t), config, generator())

    one, thousand = edited(1.0), edited(1000.0)
    torch.testing.assert_close(one, thousand, atol=1e-6, rtol=0)
    assert (one - follow(model, start, TIMES)[0]).abs().max() > 0.1


def test_a_proposed_scale_has_its_closed_forms() -> None:
    """A linear loss: with l2 the optimum lies a root mean square of `balance` away, with l1 only elements
    whose slope is over 1 / balance of the root mean square leave the stored estimate.
    """
    model, x = gaussian_model(0.0, 0.5), torch.zeros(2, 4, dtype=torch.float64)
    slope = torch.tensor([[3.0, -1.0, 0.2, 0.0], [30.0, -10.0, 2.0, 0.0]], dtype=torch.float64)
    stored, window = [torch.full_like(x, 9.0), torch.full_like(x, -0.4)], (TIMES[1], 1.0)

    def linear(x1: Tensor, t: float) -> Tensor:
        return (slope * x1).sum(1)

    def edited(balance: float, **changes) -> Tensor:
        config = GuidanceConfig(window=window, mcg_scale=0, structure_weight=70.0, **changes)
        factor = proposed_scale(linear, TIMES[:2], stored, config, balance)
        return guide(model, x, TIMES[:2], stored, lambda x1, t: factor * linear(x1, t), config, generator())

    moved = edited(0.3, structure="l2", inner_steps=1500, inner_rate=0.005) - stored[1]
    expected = -0.3 * slope / slope.square().mean(1, keepdim=True).sqrt()
    torch.testing.assert_close(moved, expected, atol=1e-3, rtol=0)
    held = (edited(1.0, structure="l1", inner_steps=400, inner_rate=0.003) - stored[1]).abs() < 0.02
    # The root mean square of 3, 1, 0.2 and 0 is 1.58.
    assert held.tolist() == [[False, True, True, True]] * 2


def test_a_proposed_scale_leaves_alone_what_has_no_slope() -> None:
    _, stored = invert(blob_model(), left_blob(3, 1), TIMES)
    config = GuidanceConfig(window=WINDOW)
    assert proposed_scale(nothing, TIMES, stored, config, 1.0).tolist() == [1, 1, 1]
    with pytest.raises(ConfigError, match="within the window"):
        proposed_scale(hinge, TIMES, stored, GuidanceConfig(window=(0.1, 0.2)), 1.0)


def test_times_and_stored_estimates_are_checked() -> None:
    model, clean = blob_model(), left_blob(2, 8)
    with pytest.raises(ConfigError, match="do not rise"):
        invert(model, clean, [0.5, 0.4])
    with pytest.raises(ConfigError, match="stored estimates"):
        guide(model, clean, TIMES, [clean], hinge, GuidanceConfig(), generator())
