"""IC-Light through the relighters' protocol, on tiny models written in the real layout."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.models.relighting import BatchRelighter, ToRelight, open_relighter
from pairbridge.datagen.models.relighting.iclight import light_side
from pairbridge.datagen.models.relighting.iclight_images import (
    back_to,
    cover_crop,
    resized,
    slope,
    working_size,
)
from pairbridge.datagen.models.relighting.iclight_sampling import stochastic_solver
from tests.datagen.models.iclight_demonstration import SIDE, Demonstration
from tests.support.tiny_iclight import fbc_config, fc_config, write_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def large_offsets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Offsets as large as the base's own weights, so that what is done with them shows in every pixel."""
    return write_weights(tmp_path_factory.mktemp("large"), offset_scale=0.2)


@pytest.fixture(autouse=True)
def one_thread():
    """For the reference, which does not choose its own number as IC-Light does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def picture(key: str, width: int = SIDE, height: int = SIDE) -> np.ndarray:
    noise = rng(0, key).uniform(0, 255, (height // 8, width // 8, 3)).astype(np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def disc(width: int = SIDE, height: int = SIDE) -> np.ndarray:
    """A soft disc in the middle, float32 0..1."""
    hard = cv2.circle(np.zeros((height, width), np.float32), (width // 2, height // 2), height // 3, 1.0, -1)
    return cv2.GaussianBlur(hard, (0, 0), 2)


def cases() -> list:
    two = {"scale": 2.0, "strength": 0.5}
    return [
        pytest.param(mode, second, id=f"{mode}-{'two passes' if second else 'one pass'}")
        for mode in ("fbc", "fc")
        for second in (None, two)
    ]


def config_of(root: Path, mode: str, second_pass: dict | None = None, **changes):
    changes = {"second_pass": second_pass, **changes}
    return fbc_config(root, **changes) if mode == "fbc" else fc_config(root, light="left", **changes)


@pytest.mark.parametrize(("mode", "second"), cases())
def test_the_loop_equals_the_demonstrations_bit_for_bit(large_offsets: Path, mode: str, second) -> None:
    config = config_of(large_offsets, mode, second)
    # The image has the last pass's size, so that nothing is resampled afterwards.
    side = 2 * SIDE if second else SIDE
    image, alpha, background = picture("photo", side, side), disc(side, side), picture("behind", side, side)
    expected = Demonstration(large_offsets, mode).relight(image, alpha, background, config, 5)
    relit = open_relighter(config).relight(image, alpha, background, 5)
    assert expected.std() > 10
    assert (relit == np.rint(expected).astype(np.uint8)).all()


@pytest.mark.parametrize(
    "mistake",
    ["background first", "conditions first", "black behind", "replaced offsets", "sampled latents"],
)
def test_the_comparison_sees_each_mistake(large_offsets: Path, mistake: str) -> None:
    config = config_of(large_offsets, "fbc")
    image, alpha, background = picture("photo"), disc(), picture("behind")
    wrong = Demonstration(large_offsets, "fbc", mistake).relight(image, alpha, background, config, 5)
    relit = open_relighter(config).relight(image, alpha, background, 5)
    assert (relit != np.rint(wrong).astype(np.uint8)).mean() > 0.05


# ------------------------------------------------------------------------------------------------- promises


def test_a_seed_decides_and_nothing_else_does(weights: Path) -> None:
    image, alpha, background = picture("photo", 100, 76), disc(100, 76), picture("behind", 90, 120)
    config = fbc_config(weights, second_pass={"scale": 1.5})
    first = open_relighter(config).relight(image, alpha, background, 3)
    torch.manual_seed(99)
    np.random.seed(99)
    used = open_relighter(config)
    used.relight(background, np.ones((120, 90), np.float32), image, 8)
    assert (used.relight(image, alpha, background, 3) == first).all()
    assert (used.relight(image, alpha, background, 4) != first).any()
    assert first.shape == image.shape
    assert first.dtype == np.uint8


def test_a_sample_does_not_depend_on_its_company(weights: Path) -> None:
    relighter = open_relighter(fbc_config(weights))
    assert isinstance(relighter, BatchRelighter)
    requests = [ToRelight(picture(f"p{n}"), disc(), picture(f"b{n}"), n) for n in range(3)]
    together = relighter.relight_batch(requests)
    for request, relit in zip(requests, together, strict=True):
        alone = relighter.relight(request.image, request.alpha, request.background, request.seed)
        # Not bit for bit: kernels may sum a larger batch in another order.
        assert np.abs(relit.astype(int) - alone).max() <= 1


def test_loading_in_turn_changes_nothing(weights: Path) -> None:
    image, alpha, background = picture("photo"), disc(), picture("behind")
    both = [
        open_relighter(fbc_config(weights, loaded=loaded)).relight(image, alpha, background, 1)
        for loaded in ("all", "in_turn")
    ]
    assert (both[0] == both[1]).all()


def test_half_precision_gives_nearly_the_same(weights: Path) -> None:
    """The path of types that a GPU takes. A CPU can go it too, which settings refuse because it is slow."""
    image, alpha, background = picture("photo"), disc(), picture("behind")
    config = fbc_config(weights, second_pass={"scale": 1.5})
    full, half = (
        open_relighter(config.model_copy(update={"precision": precision})).relight(
            image, alpha, background, 1
        )
        for precision in ("fp32", "half")
    )
    assert 0 < np.abs(full.astype(int) - half).mean() < 2


def test_each_condition_counts(weights: Path) -> None:
    image, alpha, background = picture("photo"), disc(), picture("behind")
    other = picture("another")
    fbc, fc = open_relighter(fbc_config(weights)), open_relighter(fc_config(weights, light="top"))
    assert (fbc.relight(image, alpha, background, 1) != fbc.relight(image, alpha, other, 1)).any()
    assert (fc.relight(image, alpha, background, 1) == fc.relight(image, alpha, other, 1)).all()
    assert (fc.relight(image, alpha, background, 1) != fc.relight(other, alpha, background, 1)).any()
    lit = open_relighter(fc_config(weights, light="background"))
    assert (lit.relight(image, alpha, background, 1) != lit.relight(image, alpha, other, 1)).any()


def test_what_is_behind_the_foreground_is_not_seen(weights: Path) -> None:
    """Only grey is, where alpha is 0; without it the photograph's own light would be a condition."""
    hard = (disc() > 0.5).astype(np.float32)
    image, background = picture("photo"), picture("behind")
    changed = np.where(hard[..., None] > 0, image, 255 - image)
    relighter = open_relighter(fbc_config(weights))
    assert (
        relighter.relight(image, hard, background, 1) == relighter.relight(changed, hard, background, 1)
    ).all()


def test_a_random_side_is_the_seeds(weights: Path) -> None:
    image, alpha = picture("photo"), disc()
    config = fc_config(weights, light="random_side")
    sides = [light_side(config, seed) for seed in range(40)]
    assert set(sides) == {"left", "right", "top", "bottom"}
    fixed = open_relighter(fc_config(weights, light=sides[7]))
    assert (
        open_relighter(config).relight(image, alpha, image, 7) == fixed.relight(image, alpha, image, 7)
    ).all()


def test_the_noise_levels_are_the_demonstrations_or_those_of_training() -> None:
    """Largest sigmas of both schedules, from their closed forms."""
    for schedule, betas in (
        ("linear", np.linspace(0.00085, 0.012, 1000)),
        ("scaled_linear", np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2),
    ):
        kept = np.cumprod(1 - betas)
        solver = stochastic_solver(schedule)
        solver.set_timesteps(20)
        assert float(solver.sigmas[0]) == pytest.approx(((1 - kept[-1]) / kept[-1]) ** 0.5, rel=1e-3)


def test_settings_that_make_no_sense_are_refused(weights: Path) -> None:
    with pytest.raises(ValidationError, match="half needs device: cuda"):
        fbc_config(weights, precision="half")
    with pytest.raises(ValidationError, match="base"):
        fbc_config(weights, base="../elsewhere")


def test_nan_is_a_rejection_of_the_image(tmp_path: Path) -> None:
    root = write_weights(tmp_path)
    path = root / "ic-light" / "iclight_sd15_fbc.safetensors"
    offsets = load_file(path)
    offsets["conv_out.bias"][0] = float("nan")
    save_file(offsets, path)
    relighter = open_relighter(fbc_config(root))
    with pytest.raises(Rejected, match="ic-light-fbc gave infinities or NaN"):
        relighter.relight(picture("photo"), disc(), picture("behind"), 0)


def test_settings_are_known_without_torch() -> None:
    code = (
        "import sys, pairbridge.datagen.models.relighting\n"
        "assert 'torch' not in sys.modules and 'diffusers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ------------------------------------------------------------------------------------------------- geometry


@pytest.mark.parametrize(
    ("photo", "expected"),
    [
        ((512, 512), (576, 576)),
        ((4000, 3000), (640, 512)),
        ((1080, 1920), (448, 768)),
        ((100, 3000), (128, 3136)),
    ],
)
def test_the_working_size_follows_the_photographs_aspect(photo, expected) -> None:
    assert working_size(photo, 576) == expected
    assert all(side % 64 == 0 for side in expected)


@pytest.mark.parametrize("size", [(640, 512), (128, 192), (64, 64)])
def test_the_photographs_geometry_comes_back(size) -> None:
    """A mark stays where it was, to a fraction of a pixel, through every change of size and aspect."""
    image = np.zeros((300, 400, 3), np.uint8)
    centre = (310, 83)
    cv2.circle(image, centre, 24, (255, 255, 255), -1)
    again = back_to(resized(image, size).astype(np.float32), (400, 300))
    moments = cv2.moments(again[..., 0])
    assert again.shape == image.shape
    assert moments["m10"] / moments["m00"] == pytest.approx(centre[0], abs=0.6)
    assert moments["m01"] / moments["m00"] == pytest.approx(centre[1], abs=0.6)


def test_only_the_background_is_cropped_and_it_is_not_stretched() -> None:
    background = np.zeros((300, 600, 3), np.uint8)
    cv2.circle(background, (300, 150), 60, (255, 255, 255), -1)
    cropped = cover_crop(background, (64, 64))
    columns, rows = cropped[..., 0].max(axis=0) > 127, cropped[..., 0].max(axis=1) > 127
    assert cropped.shape == (64, 64, 3)
    assert abs(int(columns.sum()) - int(rows.sum())) <= 1
    assert columns.sum() == pytest.approx(120 * 64 / 300, abs=1.5)


def test_slopes_fall_from_their_side() -> None:
    for side, bright, dark in (
        ("left", (32, 0), (32, 63)),
        ("right", (32, 63), (32, 0)),
        ("top", (0, 40), (95, 40)),
        ("bottom", (95, 40), (0, 40)),
    ):
        image = slope(side, (64, 96))
        assert image.shape == (96, 64, 3)
        assert tuple(image[bright]) == (255,) * 3
        assert tuple(image[dark]) == (0,) * 3
