"""Linear light from any red, green and blue to sRGB's (which are Rec. 709's), adapted to D65 by Bradford's
transform."""

import numpy as np

XY = tuple[float, float]

D65: XY = (0.3127, 0.3290)
REC709: tuple[XY, XY, XY] = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def picture_to_srgb(white: XY, corners: tuple[XY, XY, XY]) -> np.ndarray:
    """3x3, linear RGB of a picture to linear sRGB: adapted by Bradford's transform, so that white stays
    white.

    Raises ValueError for chromaticities that span no space of colours.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = (_BRADFORD @ xyz(D65)) / (_BRADFORD @ xyz(white))
        adaptation = np.linalg.solve(_BRADFORD, gain[:, None] * _BRADFORD)
    return _checked(xyz_to_srgb() @ adaptation @ rgb_to_xyz(white, corners))


def light_to_srgb(white: XY, corners: tuple[XY, XY, XY]) -> np.ndarray:
    """3x3, linear RGB of measured light to linear sRGB: the same CIE XYZ, for a warm lamp is to stay warm.

    Raises ValueError for chromaticities that span no space of colours.
    """
    return _checked(xyz_to_srgb() @ rgb_to_xyz(white, corners))


def xyz_to_srgb() -> np.ndarray:
    """3x3 from CIE XYZ to linear sRGB."""
    return np.linalg.inv(rgb_to_xyz(D65, REC709))


def rgb_to_xyz(white: XY, corners: tuple[XY, XY, XY]) -> np.ndarray:
    """3x3, scaled so that (1, 1, 1) is the white with Y = 1; its middle row is each primary's luminance."""
    # Not by xyz(): a primary may have no luminance at all, as blue of ACES nearly has.
    columns = np.array([(x, y, 1 - x - y) for x, y in corners], float).T
    try:
        return columns * np.linalg.solve(columns, xyz(white))
    except np.linalg.LinAlgError as error:
        raise ValueError(f"the chromaticities {corners} span no colours") from error


def xyz(white: XY) -> np.ndarray:
    """CIE XYZ of a chromaticity with y > 0, Y = 1."""
    x, y = (np.float64(value) for value in white)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.array([x / y, 1.0, (1 - x - y) / y])


def _checked(matrix: np.ndarray) -> np.ndarray:
    if not np.isfinite(matrix).all():
        raise ValueError("the stated chromaticities span no colours")
    return matrix
