"""Periodic fractal noise with levels of detail, of which clouds, crowns and grounds are made."""

import math

import cv2
import numpy as np


class NoiseField:
    """A tile of noise that repeats, `size` texels a side, zero mean and unit variance.

    Its spectrum falls as frequency^-`slope` (2 is wispy, 4 smooth); sampled over a footprint it is averaged
    as a camera averages, so that it neither shimmers nor aliases towards the horizon.
    """

    def __init__(
        self,
        draw: np.random.Generator,
        slope: float,
        size: int = 512,
        stretch: float = 1.0,
        lowest: float = 1.0,
    ) -> None:
        """`stretch` > 1 draws features out along x; frequencies below `lowest` cycles a tile are left out."""
        fx = np.fft.rfftfreq(size, 1 / size)[None, :] * stretch
        fy = np.fft.fftfreq(size, 1 / size)[:, None]
        frequency = np.hypot(fx, fy)
        amplitude = np.where(frequency >= lowest, np.maximum(frequency, 1) ** (-slope / 2 - 0.5), 0)
        spectrum = np.fft.rfft2(draw.standard_normal((size, size))) * amplitude
        tile = np.fft.irfft2(spectrum, s=(size, size))
        tile /= tile.std()
        self.size = size
        self._levels = [_bordered(tile.astype(np.float32))]
        while tile.shape[0] > 8:
            tile = cv2.resize(tile, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            self._levels.append(_bordered(tile.astype(np.float32)))

    def sample(self, x: np.ndarray, y: np.ndarray, footprint: np.ndarray | float = 0.0) -> np.ndarray:
        """The noise at (x, y), in tiles, averaged over about `footprint` tiles: float32 of their shape."""
        level = np.log2(np.maximum(np.asarray(footprint, np.float32) * self.size, 1))
        if level.ndim == 0:
            return self._at(min(round(float(level)), len(self._levels) - 1), x, y)
        level = np.minimum(level, len(self._levels) - 1.001)
        total = np.zeros(x.shape, np.float32)
        for number in range(int(level.min()), int(level.max()) + 2):
            share = np.maximum(1 - np.abs(level - number), 0)
            # Only the rows that see this level: a footprint changes with the distance to the horizon.
            rows = np.flatnonzero(share.any(axis=1))
            if len(rows) and number < len(self._levels):
                low, high = rows[0], rows[-1] + 1
                total[low:high] += share[low:high] * self._at(number, x[low:high], y[low:high])
        return total

    def _at(self, number: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        tile = self._levels[number]
        size = tile.shape[0] - 1
        places = [((axis % 1.0) * size).astype(np.float32) for axis in (x, y)]
        return cv2.remap(tile, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def ridge(draw: np.random.Generator, count: int, slope: float, lowest: int = 1) -> np.ndarray:
    """A closed line of noise around the horizon: (count,), zero mean, unit variance."""
    frequency = np.fft.rfftfreq(4096, 1 / 4096)
    amplitude = np.where(frequency >= lowest, np.maximum(frequency, 1) ** (-slope), 0)
    line = np.fft.irfft(np.fft.rfft(draw.standard_normal(4096)) * amplitude, 4096)
    line /= line.std()
    places = (np.arange(count) + 0.5) / count * 4096 - 0.5
    return np.interp(places % 4096, np.arange(4097), np.append(line, line[0]))


def _bordered(tile: np.ndarray) -> np.ndarray:
    return cv2.copyMakeBorder(tile, 0, 1, 0, 1, cv2.BORDER_WRAP)


def wrapped_blur(line: np.ndarray, sigma: float) -> np.ndarray:
    """(W, C) smoothed around the circle by a Gaussian of `sigma` entries."""
    reach = math.ceil(3 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.concatenate([line[-reach:], line, line[:reach]]) if reach <= len(line) else line
    return np.stack([np.convolve(column, kernel, mode="valid") for column in padded.T], axis=1)
