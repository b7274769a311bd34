"""Edges of a picture as lines, what sketches are translated from (Canny, PAMI 1986, by OpenCV)."""

import cv2
import numpy as np

# Standard deviation of the blur before, in pixels, and hysteresis thresholds on the sum of the absolute
# slopes of 8-bit grey (Sobel, 3 x 3): the usual ratio of 2, which leaves outlines and drops film grain.
_BLUR = 1.0
_LOW, _HIGH = 60, 120


def canny_edges(picture: np.ndarray) -> np.ndarray:
    """uint8 (H, W), 255 on lines one pixel wide and 0 beside them, of uint8 sRGB (H, W, 3)."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    smooth = cv2.GaussianBlur(grey, (0, 0), _BLUR, borderType=cv2.BORDER_REFLECT_101)
    return cv2.Canny(smooth, _LOW, _HIGH)
