"""What a camera adds, against the closed forms of the module's docstring."""

import math

import numpy as np
import pytest

from pairbridge.datagen.imaging.photographic_finish import (
    Developed,
    FinishDraws,
    PhotographicFinish,
    draw_finish,
    noise_deviation,
    noise_field,
    toned,
    vignette_gain,
    white_balance_gains,
)
from pairbridge.datagen.imaging.view import ViewTransform

ALL = PhotographicFinish(
    iso=1600, noise_seed=5, vignette=0.4, kelvin=7600, tint=0.01, contrast=0.5, jpeg_quality=85
)
VIEWS = (ViewTransform(), ViewTransform(curve="filmic"), ViewTransform(exposure=2.0))


def developed(view: ViewTransform = VIEWS[0], **finish: object) -> Developed:
    return Developed(view, PhotographicFinish(**finish))


@pytest.mark.parametrize("iso", [100.0, 800.0, 3200.0])
@pytest.mark.parametrize("level", [0.0, 0.02, 0.18, 0.7])
def test_noise_has_the_variance_of_the_model(iso: float, level: float) -> None:
    light = np.full((256, 256, 3), level, np.float32)
    noisy = light + noise_deviation(light, iso) * noise_field(3, (256, 256))
    electrons = 2e6 / iso
    # 65,536 correlated samples a channel: one percent is two standard errors.
    expected = level / electrons + (1.5 / electrons) ** 2
    assert (noisy - light).var(axis=(0, 1)) == pytest.approx(expected, rel=0.04)
    assert abs((noisy - light).mean()) < 0.02 * math.sqrt(expected)


def test_noise_is_correlated_as_a_demosaiced_picture_and_not_between_channels() -> None:
    noise = noise_field(8, (256, 256))
    beside = [(noise[:, 1:, c] * noise[:, :-1, c]).mean() for c in range(3)]
    # Of the kernels [[1 2 1] [2 4 2] [1 2 1]] and [[0 1 0] [1 4 1] [0 1 0]]: 24/36 and 8/20.
    assert beside == pytest.approx([24 / 36, 8 / 20, 24 / 36], abs=0.02)
    assert abs((noise[..., 0] * noise[..., 1]).mean()) < 0.02
    far = (noise[:, 3:] * noise[:, :-3]).mean()
    assert abs(far) < 0.02


def test_in_the_picture_noise_of_grey_is_what_the_curve_makes_of_it() -> None:
    grey = np.full((192, 192, 3), 0.18, np.float32)
    levels = developed(iso=1600, noise_seed=1).apply(grey).astype(float)
    # d(255 sRGB) / d(linear) at 0.18.
    slope = 255 * 1.055 / 2.4 * 0.18 ** (1 / 2.4 - 1)
    expected = slope * math.sqrt(0.18 * 1600 / 2e6 + (1.5 * 1600 / 2e6) ** 2)
    assert levels.std(axis=(0, 1)) == pytest.approx(math.hypot(expected, 12**-0.5), rel=0.05)


@pytest.mark.parametrize("size_HW", [(96, 96), (64, 128)])
def test_a_corner_loses_the_stated_light_as_cos_to_the_fourth(size_HW: tuple[int, int]) -> None:
    gain = vignette_gain(size_HW, 0.4)
    height, width = size_HW
    tangent = math.sqrt(1 / math.sqrt(0.6) - 1)
    radius = math.hypot(height - 1, width - 1) / math.hypot(height, width)
    assert gain[0, 0] == pytest.approx(math.cos(math.atan(radius * tangent)) ** 4, abs=1e-6)
    assert gain[0, 0] == pytest.approx(0.6, abs=0.02)
    assert gain[height // 2, width // 2] == pytest.approx(1, abs=1e-3)
    assert (gain == gain[::-1, ::-1]).all()


def test_white_balance_is_neutral_where_white_is_and_yellow_above() -> None:
    np.testing.assert_allclose(white_balance_gains(6504, 0), 1, atol=1e-6)
    for kelvin in (5000, 6999, 7001, 9000):
        gains = white_balance_gains(kelvin, 0)
        assert gains.min() == 1
        assert (gains[0] > gains[2]) == (kelvin > 6504)
    # The two polynomials meet.
    np.testing.assert_allclose(white_balance_gains(6999.9, 0), white_balance_gains(7000.1, 0), atol=2e-3)
    assert white_balance_gains(6504, 0.02)[1] == pytest.approx(1.02, abs=1e-5)


@pytest.mark.parametrize("contrast", [-1.0, -0.2, 0.0, 0.6, 1.0])
def test_the_tone_curve_keeps_its_ends_and_never_turns_back(contrast: float) -> None:
    y = toned(np.linspace(0, 1, 2001), contrast)
    assert (y[0], y[1000], y[-1]) == pytest.approx((0, 0.5, 1), abs=1e-7)
    assert (np.diff(y) >= -1e-7).all()


@pytest.mark.parametrize("view", VIEWS)
def test_white_stays_white_and_black_black_with_everything_on(view: ViewTransform) -> None:
    full = Developed(view, ALL)
    assert (full.apply(np.full((64, 64, 3), 1e4, np.float32)) == 255).all()
    still = Developed(view, PhotographicFinish(vignette=0.4, kelvin=7600, contrast=0.5, jpeg_quality=85))
    assert (still.apply(np.zeros((64, 64, 3), np.float32)) == 0).all()


@pytest.mark.parametrize("view", VIEWS)
def test_paper_takes_nothing_of_it(view: ViewTransform) -> None:
    rgba = np.zeros((64, 64, 4), np.float32)
    rgba[20:40, 20:40] = (0.5, 0.2, 0.1, 1)
    rgba[19, 20:40] = rgba[20, 20:40] / 2
    shown = Developed(view, ALL).apply_on_paper(rgba, 1.0)
    assert (shown[rgba[..., 3] == 0] == 255).all()
    assert shown[25:35, 25:35].std(axis=(0, 1)).min() > 0.5
    grey = Developed(view, ALL).apply_on_paper(rgba, 0.3)
    assert (grey[0, 0] == view.apply_on_paper(rgba, 0.3)[0, 0]).all()


def test_equal_light_becomes_equal_bytes_in_every_picture_of_a_group() -> None:
    draw = np.random.default_rng(2)
    first = draw.random((96, 96, 3), np.float32)
    other = first.copy()
    other[30:50, 40:70] = draw.random((20, 30, 3), np.float32)
    alike = (first == other).all(axis=2)
    finish = {"iso": 800, "noise_seed": 9, "vignette": 0.3, "kelvin": 5600, "contrast": 0.4}
    full = developed(**finish)
    assert (full.apply(first)[alike] == full.apply(other)[alike]).all()
    # And in another process: nothing is kept but the draw.
    assert (developed(**finish).apply(first) == full.apply(first)).all()
    assert (developed(**finish | {"noise_seed": 10}).apply(first) != full.apply(first)).mean() > 0.3


def test_each_part_is_drawn_as_often_as_its_share_and_off_at_0() -> None:
    draws = [draw_finish(np.random.default_rng(seed), FinishDraws()) for seed in range(1000)]
    shares = FinishDraws()
    for name, share in (
        ("iso", shares.noise),
        ("vignette", shares.vignette),
        ("kelvin", shares.white_balance),
        ("contrast", shares.tone),
        ("jpeg_quality", shares.jpeg),
    ):
        assert np.mean([getattr(draw, name) is not None for draw in draws]) == pytest.approx(share, abs=0.05)
    off = FinishDraws(noise=0, vignette=0, white_balance=0, tone=0, jpeg=0)
    picture = np.random.default_rng(0).random((32, 32, 3), np.float32)
    for seed in range(20):
        finish = draw_finish(np.random.default_rng(seed), off)
        assert (Developed(VIEWS[0], finish).apply(picture) == VIEWS[0].apply(picture)).all()


def test_one_part_moves_no_draw_of_another() -> None:
    for seed in range(50):
        full = draw_finish(np.random.default_rng(seed), FinishDraws(noise=1, tone=1))
        less = draw_finish(np.random.default_rng(seed), FinishDraws(noise=0, tone=1))
        assert less.iso is None
        for name in ("contrast", "vignette", "jpeg_quality"):
            assert getattr(full, name) == getattr(less, name)
