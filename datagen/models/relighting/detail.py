"""A photograph's fine detail on a relit foreground: light changes slowly over a surface, texture does not.

A diffusion model repaints texture, letters and faces a little wrong, and a translator trained on that learns
to repair it. With b a Gaussian blur that sees the foreground alone, x the photograph and r the relit image:

    add      b(r) + x - b(x)        the photograph's detail as it is (Kijai's detail transfer, Apache-2.0)
    ratio    x b(r) / b(x)          the photograph, its low frequencies relit; detail dims with the light
"""

import numpy as np

from pairbridge.datagen.imaging.filters import gaussian_blur, masked_mean
from pairbridge.datagen.models.relighting.iclight_settings import DetailTransfer

# Below this level a ratio would blow noise up; added to both of its sides.
_FLOOR = 4.0


def transfer_detail(
    photo: np.ndarray, relit: np.ndarray, alpha: np.ndarray, settings: DetailTransfer
) -> np.ndarray:
    """float32 (H, W, 3) in 0..255; where alpha is 0 the relit image stays.

    photo: uint8 (H, W, 3). relit: float32 (H, W, 3) in 0..255. alpha: float32 (H, W) in 0..1.
    """
    pixels, weight = photo.astype(np.float32), alpha.astype(np.float32)[..., None]
    # Weighted: otherwise the background's colours would count as detail at the rim.
    light, own = (masked_mean(values, weight, gaussian_blur, settings.sigma_px) for values in (relit, pixels))
    if settings.method == "add":
        detailed = light + pixels - own
    else:
        detailed = (pixels + _FLOOR) * (light + _FLOOR) / (own + _FLOOR) - _FLOOR
    return np.where(weight > 0, detailed, relit).clip(0, 255)
