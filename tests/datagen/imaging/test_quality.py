"""Gates: what they must let through, and each failure they exist for."""

import numpy as np
import pytest

from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.imaging.quality import Gates, check_foreground, check_pair, check_render, noise_level

SIZE = 64
YY, XX = np.mgrid[:SIZE, :SIZE] / (SIZE - 1) * 2 - 1
DISC = np.hypot(XX, YY) < 0.7
BALL = np.sqrt(np.clip(1 - (XX**2 + YY**2) / 0.49, 0, 1))


def render(alpha: np.ndarray = DISC, light: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    shade = (light * BALL * alpha)[..., None] * np.ones(3)
    rgba = np.concatenate([shade, alpha[..., None]], axis=-1).astype(np.float32)
    return rgba, np.full((SIZE, SIZE, 3), 0.4, np.float32)


def shaded(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    image = np.clip(low + (high - low) * BALL, 0, 255)[..., None].repeat(3, axis=2)
    return image.astype(np.uint8), DISC.astype(np.uint8) * 255


def test_a_shaded_ball_passes() -> None:
    check_render(*render(), Gates())
    check_foreground(*shaded(20, 220), "target", Gates())


@pytest.mark.parametrize("spoil", ["nan", "empty", "full", "magenta", "cut"])
def test_a_failed_render_is_refused(spoil: str) -> None:
    rgba, albedo = render()
    if spoil == "nan":
        rgba[3, 4, 1] = np.nan
    elif spoil == "empty":
        rgba[:] = 0
    elif spoil == "full":
        rgba[..., 3] = 1
    elif spoil == "cut":
        rgba = np.roll(rgba, SIZE // 4, axis=1)
    else:
        albedo[DISC & (XX > 0)] = (1, 0, 1)
    with pytest.raises(Rejected) as refused:
        check_render(rgba, albedo, Gates())
    gate, reason = {
        "nan": ("not_finite", "NaN"),
        "empty": ("too_small", "covers 0.0000"),
        "full": ("too_large", "covers 1.0000"),
        "magenta": ("missing_texture", "magenta"),
        "cut": ("cut_by_border", "of the frame's border"),
    }[spoil]
    assert refused.value.gate == gate
    assert reason in refused.value.cause


@pytest.mark.parametrize(
    ("low", "high", "reason"),
    [(0, 3, "black"), (255, 255, "blown"), (120, 121, "no shading")],
)
def test_a_foreground_without_light_or_shape_is_refused(low: float, high: float, reason: str) -> None:
    with pytest.raises(Rejected) as refused:
        check_foreground(*shaded(low, high), "source", Gates())
    assert reason in refused.value.cause
    assert refused.value.gate == reason.replace("no ", "no_")
    assert "source" in refused.value.cause


def test_only_the_foreground_is_judged() -> None:
    image, mask = shaded(20, 220)
    image[mask == 0] = 0
    check_foreground(image, mask, "target", Gates())
    image[mask == 0] = 255
    check_foreground(image, mask, "target", Gates())


def pair() -> dict[str, np.ndarray]:
    target, mask = shaded(20, 220)
    source, _ = shaded(10, 160)
    return {"source.png": source, "target.png": target, "mask.png": mask}


@pytest.mark.parametrize(
    ("gate", "limits"),
    [
        ("mask_empty", {}),
        ("mask_full", {}),
        ("black_frame", {}),
        ("blown_frame", {}),
        ("noisy", {}),
        ("too_alike", {}),
        ("noisy", {"noise": 0.0}),
        ("too_alike", {"difference": 100.0}),
        ("mask_full", {"mask": (0.0, 0.2)}),
    ],
)
def test_every_gate_on_pairs_refuses_its_failure_and_follows_its_limit(gate: str, limits: dict) -> None:
    made = pair()
    check_pair(made, Gates())
    if gate == "noisy":
        made["target.png"] = rng(1).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    if not limits:
        made |= {
            "mask_empty": {"mask.png": 0 * made["mask.png"]},
            "mask_full": {"mask.png": 0 * made["mask.png"] + 255},
            "black_frame": {"target.png": 0 * made["target.png"]},
            "blown_frame": {"source.png": 0 * made["source.png"] + 255},
            "too_alike": {"source.png": made["target.png"]},
        }.get(gate, {})
    with pytest.raises(Rejected) as refused:
        check_pair(made, Gates(**limits))
    assert refused.value.gate == gate


def test_pairs_without_source_or_mask_are_judged_by_what_they_have() -> None:
    made = pair()
    check_pair({"target.png": made["target.png"], "mask.png": made["mask.png"]}, Gates())
    check_pair({"source.png": made["source.png"], "target.png": made["target.png"]}, Gates())
    with pytest.raises(Rejected):
        check_pair({"source.png": made["target.png"], "target.png": made["target.png"]}, Gates())


@pytest.mark.parametrize("sigma", [4.0, 16.0])
@pytest.mark.parametrize("grey", [True, False])
def test_the_noise_gate_measures_noise_and_not_shading_or_edges(sigma: float, grey: bool) -> None:
    shading = np.where(XX > 0.1, 60.0, 20.0) + 120 * BALL
    noise = rng(2).normal(0, sigma, (SIZE, SIZE, 1 if grey else 3))
    noisy = (
        np.clip(np.round(shading[..., None] + noise), 0, 255)
        .astype(np.uint8)
        .repeat(3 if grey else 1, axis=2)
    )
    # Channels that are noisy on their own average out in the sum of the three.
    expected = sigma if grey else sigma / np.sqrt(3)
    assert noise_level(noisy) == pytest.approx(expected, rel=0.1)
    assert noise_level(noisy, DISC.astype(np.uint8) * 255) == pytest.approx(expected, rel=0.15)
    clean = np.repeat(shading[..., None], 3, axis=2).astype(np.uint8)
    assert noise_level(clean) < 1
