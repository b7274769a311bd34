"""Gates: what they must let through, and each failure they exist for."""

import numpy as np
import pytest

from datagen.errors import Rejected
from datagen.quality import check_foreground, check_render

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
    check_render(*render())
    check_foreground(*shaded(20, 220), "target")


@pytest.mark.parametrize("spoil", ["nan", "empty", "full", "magenta"])
def test_a_failed_render_is_refused(spoil: str) -> None:
    rgba, albedo = render()
    if spoil == "nan":
        rgba[3, 4, 1] = np.nan
    elif spoil == "empty":
        rgba[:] = 0
    elif spoil == "full":
        rgba[..., 3] = 1
    else:
        albedo[DISC & (XX > 0)] = (1, 0, 1)
    with pytest.raises(Rejected) as refused:
        check_render(rgba, albedo)
    reason = {"nan": "NaN", "empty": "covers 0.0000", "full": "covers 1.0000", "magenta": "magenta"}[spoil]
    assert reason in refused.value.cause


@pytest.mark.parametrize(
    ("low", "high", "reason"),
    [(0, 3, "black"), (255, 255, "blown"), (120, 121, "no shading")],
)
def test_a_foreground_without_light_or_shape_is_refused(low: float, high: float, reason: str) -> None:
    with pytest.raises(Rejected) as refused:
        check_foreground(*shaded(low, high), "source")
    assert reason in refused.value.cause
    assert "source" in refused.value.cause


def test_only_the_foreground_is_judged() -> None:
    image, mask = shaded(20, 220)
    image[mask == 0] = 0
    check_foreground(image, mask, "target")
    image[mask == 0] = 255
    check_foreground(image, mask, "target")
