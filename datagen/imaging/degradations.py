"""What restoration undoes: seeded degradations of an sRGB image, as pure functions of (image, parameters).

Two sorts. The *single* ones of the bridge literature (arXiv 2302.05872), whose parameters are fixed:

| name | what |
|---|---|
| `bicubic4` | a quarter of the size by antialiased cubic convolution, and back by the same |
| `pooled4` | the mean of each 4x4 block, and back as blocks |
| `jpeg5`, `jpeg10` | JPEG at that quality |
| `centre_hole` | the middle half of width and height is grey |

And *second order* (Real-ESRGAN, arXiv 2107.10833, section 3 and its published training options): blur,
resize, noise and JPEG, all of it twice, and a sinc filter at the end. What is drawn is a plain value that can
be stored; `degrade` does what it says. Everything is sRGB, 8 bit in and out, as in the paper.
"""

import math
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from PIL import Image
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.random_draws import Fraction, Range, RangeOf, index_at, whole_number
from pairbridge.datagen.core.seeds import rng

SingleKind = Literal["bicubic4", "pooled4", "jpeg5", "jpeg10", "centre_hole"]
DegradationKind = Literal["second_order", "bicubic4", "pooled4", "jpeg5", "jpeg10", "centre_hole"]

_FACTOR = 4
_RESIZES = ("area", "linear", "cubic")
_INTERPOLATION = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
_KERNELS = ("iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso")


class StageConfig(FrozenModel):
    """One of the two passes; the defaults are those of the first pass of Real-ESRGAN."""

    blur: Fraction = 1.0
    """Fraction of images that are blurred."""
    sinc: Fraction = 0.1
    """Fraction of those blurs that are a sinc filter, which rings."""
    kernels: tuple[NonNegativeFloat, ...] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    """Relative weights of the other blur kernels: isotropic and anisotropic, of each of Gaussian, generalised
    Gaussian and plateau."""
    kernel_side: RangeOf[int] = (7, 21)
    """Least and largest side of kernels, odd, in pixels."""
    sigma: RangeOf[PositiveFloat] = (0.2, 3.0)
    """Standard deviation of blur kernels along each axis, in pixels."""
    beta_gaussian: Range = (0.5, 4.0)
    """Shape parameter of generalised Gaussian kernels; 1 is a Gaussian."""
    beta_plateau: Range = (1.0, 2.0)
    """Shape parameter of plateau kernels."""
    resize: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = (0.2, 0.7, 0.1)
    """Relative weights of enlarging, reducing and keeping the size."""
    scale: Range = (0.15, 1.5)
    """Smallest and largest factor on the sides; it must hold 1."""
    gaussian_noise: Fraction = 0.5
    """Fraction of images with Gaussian noise; the rest get Poisson noise."""
    noise_sigma: Range = (1.0, 30.0)
    """Standard deviation of Gaussian noise, in 8-bit levels."""
    poisson_scale: Range = (0.05, 3.0)
    """Factor on Poisson noise; 1 is that of an image exposed for its own number of levels."""
    grey_noise: Fraction = 0.4
    """Fraction of images whose noise is the same in all channels."""
    jpeg: RangeOf[Annotated[int, Field(ge=1, le=100)]] = (30, 95)
    """Quality of the JPEG compression, within [1, 100]."""

    @model_validator(mode="after")
    def _consistent(self) -> "StageConfig":
        if len(self.kernels) != len(_KERNELS) or sum(self.kernels) <= 0 or sum(self.resize) <= 0:
            raise ValueError(f"kernels needs {len(_KERNELS)} shares ({', '.join(_KERNELS)}), resize 3")
        if self.kernel_side[0] < 3 or not all(side % 2 for side in self.kernel_side):
            raise ValueError("kernel_side needs two odd numbers from 3 up")
        if not 0 < self.scale[0] <= 1 <= self.scale[1]:
            raise ValueError("scale must be positive and hold 1")
        return self


class SecondOrderConfig(FrozenModel):
    """Real-ESRGAN's chain; the defaults are its training options."""

    first: StageConfig = StageConfig()
    """The first pass."""
    second: StageConfig = StageConfig(
        blur=0.8,
        sigma=(0.2, 1.5),
        resize=(0.3, 0.4, 0.3),
        scale=(0.3, 1.2),
        noise_sigma=(1.0, 25.0),
        poisson_scale=(0.05, 2.5),
    )
    """The second pass; its defaults are milder."""
    final_sinc: Fraction = 0.8
    """Fraction of images with a sinc filter near the end."""
    scale: float = Field(4.0, ge=1, le=16)
    """Factor, within [1, 16], by which the sides of the degraded image are reduced before it is brought back
    to size; 4 is super-resolution by four."""


def draw_second_order(draw: np.random.Generator, config: SecondOrderConfig) -> dict[str, Any]:
    """Parameters of one chain, JSON-able."""
    sinc = draw.random() < config.final_sinc
    return {
        "first": _draw_stage(draw, config.first),
        "second": _draw_stage(draw, config.second),
        "scale": config.scale,
        "last_resize": _RESIZES[draw.integers(3)],
        "final_sinc": _draw_sinc(draw, config.second.kernel_side) if sinc else None,
        "sinc_before_jpeg": bool(draw.random() < 0.5),
    }


def degrade(image: np.ndarray, kind: DegradationKind, params: dict[str, Any], seed: int) -> np.ndarray:
    """A degraded copy of uint8 (H, W, 3), of the same size.

    `params` are those of `draw_second_order`, empty for the single kinds; `seed` is that of the noise. Equal
    arguments give equal bytes with the same OpenCV and Pillow.
    """
    height, width = image.shape[:2]
    if kind == "second_order":
        return _cubic(_second_order(image, params, seed), (width, height))
    if kind == "bicubic4":
        return _cubic(_cubic(image, (max(1, width // _FACTOR), max(1, height // _FACTOR))), (width, height))
    if kind == "pooled4":
        return _pooled(image)
    if kind == "centre_hole":
        holed = image.copy()
        y, x, high, wide = hole_box(height, width)
        holed[y : y + high, x : x + wide] = 128
        return holed
    return _jpeg(image, int(kind.removeprefix("jpeg")))


def hole_box(height: int, width: int) -> tuple[int, int, int, int]:
    """y, x, height and width of the centre hole: half of each side."""
    return height // 4, width // 4, height // 2, width // 2


def blur_kernel(params: dict[str, Any]) -> np.ndarray:
    """The kernel (side, side) of one blur, float64, of sum 1; what `params` holds depends on its `kind`."""
    side = params["side"]
    reach = np.arange(side) - side // 2
    x, y = np.meshgrid(reach, reach)
    if params["kind"] == "sinc":
        # The ideal low-pass of a disc of frequencies, cut off at `cutoff` radians a pixel.
        radius = np.hypot(x, y)
        cutoff = params["cutoff"]
        with np.errstate(invalid="ignore", divide="ignore"):
            kernel = cutoff * _bessel_j1(cutoff * radius) / (2 * math.pi * radius)
        kernel[side // 2, side // 2] = cutoff**2 / (4 * math.pi)
    else:
        cos, sin = math.cos(params["turn_rad"]), math.sin(params["turn_rad"])
        along, across = (x * cos + y * sin) / params["sigma"][0], (y * cos - x * sin) / params["sigma"][1]
        square = along**2 + across**2
        if params["kind"] == "plateau":
            kernel = 1 / (1 + square ** params["beta"])
        else:
            kernel = np.exp(-0.5 * square ** params["beta"])
    return kernel / kernel.sum()


def _second_order(image: np.ndarray, params: dict[str, Any], seed: int) -> np.ndarray:
    """The degraded image at 1/scale of the size, uint8."""
    height, width = image.shape[:2]
    small = (max(1, round(width / params["scale"])), max(1, round(height / params["scale"])))
    first, second = params["first"], params["second"]
    # In [0, 255], in floats between the steps, clipped where the paper's chain clips.
    work = _blurred(image.astype(np.float32), first["kernel"])
    work = _resized(work, _scaled((width, height), first["scale"]), first["resize"])
    work = _noisy(work, first["noise"], rng(seed, "noise", "first"))
    work = _jpeg(_to_8_bit(work), first["jpeg"]).astype(np.float32)
    work = _blurred(work, second["kernel"])
    work = _resized(work, _scaled(small, second["scale"]), second["resize"])
    work = _noisy(work, second["noise"], rng(seed, "noise", "second"))
    if not params["sinc_before_jpeg"]:
        work = _jpeg(_to_8_bit(work), second["jpeg"]).astype(np.float32)
    work = _blurred(_resized(work, small, params["last_resize"]), params["final_sinc"])
    if params["sinc_before_jpeg"]:
        work = _jpeg(_to_8_bit(work), second["jpeg"]).astype(np.float32)
    return _to_8_bit(work)


def _draw_stage(draw: np.random.Generator, config: StageConfig) -> dict[str, Any]:
    blurs, is_sinc = draw.random() < config.blur, draw.random() < config.sinc
    way = index_at(draw.random(), config.resize)
    low, high = ((1.0, config.scale[1]), (config.scale[0], 1.0), (1.0, 1.0))[way]
    kernel = _draw_sinc(draw, config.kernel_side) if is_sinc else _draw_kernel(draw, config)
    return {
        "kernel": kernel if blurs else None,
        "scale": float(draw.uniform(low, high)),
        "resize": _RESIZES[draw.integers(3)],
        "noise": _draw_noise(draw, config),
        "jpeg": whole_number(draw, config.jpeg),
    }


def _draw_kernel(draw: np.random.Generator, config: StageConfig) -> dict[str, Any]:
    name = _KERNELS[index_at(draw.random(), config.kernels)]
    sigma = float(draw.uniform(*config.sigma))
    across = float(draw.uniform(*config.sigma))
    turn_rad = float(draw.uniform(-math.pi, math.pi))
    # As many shapes sharper than a Gaussian as blunter ones, though the range above 1 is the wider.
    low, high = config.beta_plateau if name.startswith("plateau") else config.beta_gaussian
    sharp = draw.random() < 0.5 and low < 1
    beta = float(draw.uniform(low, min(1.0, high)) if sharp else draw.uniform(max(1.0, low), high))
    return {
        "kind": "plateau" if name.startswith("plateau") else "gaussian",
        "side": _draw_side(draw, config.kernel_side),
        "sigma": [sigma, sigma if name.endswith("_iso") or name == "iso" else across],
        "turn_rad": turn_rad,
        "beta": beta if "_" in name else 1.0,
    }


def _draw_sinc(draw: np.random.Generator, sides: tuple[int, int]) -> dict[str, Any]:
    side = _draw_side(draw, sides)
    # A small kernel cannot hold the rings of a low cut-off.
    return {
        "kind": "sinc",
        "side": side,
        "cutoff": float(draw.uniform(math.pi / (3 if side < 13 else 5), math.pi)),
    }


def _draw_side(draw: np.random.Generator, sides: tuple[int, int]) -> int:
    return int(sides[0] + 2 * draw.integers((sides[1] - sides[0]) // 2 + 1))


def _draw_noise(draw: np.random.Generator, config: StageConfig) -> dict[str, Any]:
    gaussian = draw.random() < config.gaussian_noise
    return {
        "kind": "gaussian" if gaussian else "poisson",
        "amount": float(draw.uniform(*(config.noise_sigma if gaussian else config.poisson_scale))),
        "grey": bool(draw.random() < config.grey_noise),
    }


def _bessel_j1(x: np.ndarray) -> np.ndarray:
    # Its integral over a period: the rectangle rule converges faster than any power, for |x| below the
    # number of points; the largest kernels have |x| < 50.
    turn = np.arange(256) * (math.tau / 256)
    return np.cos(turn - x[..., None] * np.sin(turn)).mean(axis=-1)


def _blurred(image: np.ndarray, kernel: dict[str, Any] | None) -> np.ndarray:
    if kernel is None:
        return image
    return cv2.filter2D(image, -1, blur_kernel(kernel).astype(np.float32), borderType=cv2.BORDER_REFLECT_101)


def _scaled(size_WH: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(1, round(size_WH[0] * scale)), max(1, round(size_WH[1] * scale))


def _resized(image: np.ndarray, size_WH: tuple[int, int], how: str) -> np.ndarray:
    return cv2.resize(image, size_WH, interpolation=_INTERPOLATION[how])


def _noisy(image: np.ndarray, noise: dict[str, Any], draw: np.random.Generator) -> np.ndarray:
    image = np.clip(image, 0, 255)
    level = image.mean(axis=2, keepdims=True) if noise["grey"] else image
    if noise["kind"] == "gaussian":
        added = draw.standard_normal(level.shape, np.float32) * np.float32(noise["amount"])
    else:
        # Photons: as many levels as the image uses, rounded up to a power of two, make one full exposure.
        photons = 2.0 ** math.ceil(math.log2(max(2, len(np.unique(_to_8_bit(level))))))
        counted = draw.poisson(level.astype(np.float64) / 255 * photons) / photons * 255
        added = ((counted - level) * noise["amount"]).astype(np.float32)
    return np.clip(image + added, 0, 255)


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError(f"OpenCV could not encode a JPEG of shape {image.shape}")
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def _cubic(image: np.ndarray, size_WH: tuple[int, int]) -> np.ndarray:
    # Pillow widens the kernel when it makes an image smaller, as MATLAB's imresize does, the literature's
    # bicubic; OpenCV's does not and aliases.
    return np.asarray(Image.fromarray(image).resize(size_WH, Image.Resampling.BICUBIC))


def _pooled(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    # Sides that are no multiple of four are continued by their last row and column.
    padded = np.pad(image, ((0, -height % _FACTOR), (0, -width % _FACTOR), (0, 0)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // _FACTOR, _FACTOR, padded.shape[1] // _FACTOR, _FACTOR, 3)
    means = np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)
    return means.repeat(_FACTOR, axis=0).repeat(_FACTOR, axis=1)[:height, :width]


def _to_8_bit(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
