"""Which compute devices Cycles is to use: decided on plain values, so that no GPU is needed to test it.

A GPU that is missing or that Blender does not keep is an error. Nothing falls back to the CPU, which would be
many times slower without a word.
"""

import contextlib
import fcntl
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pairbridge.datagen.core.errors import PairbridgeError


class DeviceMissing(PairbridgeError):
    """The requested compute device is not there."""


def devices_to_use(device: str, found: Sequence[str]) -> tuple[bool, ...]:
    """For each device that Blender lists (by type: "OPTIX", "CUDA", "CPU", ...), whether it is to render.

    All of the asked kind and no other: the same card is listed once as CUDA and once as OPTIX, and a CPU
    beside a GPU slows it down. A worker sees only the cards that its scheduler gave it. Raises DeviceMissing.
    """
    wanted = tuple(kind == device.upper() for kind in found)
    if not any(wanted):
        there = ", ".join(sorted(set(found))) or "no device"
        raise DeviceMissing(
            f"render.device is {device!r}, and Blender finds {there} here",
            consequence="the CPU would be many times slower without a word, so nothing is rendered",
            remedy="set render.device to cpu, or install the GPU's driver; see `pairbridge doctor`",
        )
    return wanted


def check_kept(device: str, kind: str, used: Sequence[str]) -> None:
    """Raise DeviceMissing unless Blender says, when asked back, that it renders on `device` alone.

    `kind` is its compute device type, `used` the types of the devices that are switched on.
    """
    if kind != device.upper() or not used or set(used) != {device.upper()}:
        raise DeviceMissing(
            f"Blender did not keep {device!r} as its device: it is set to {kind}, using "
            f"{', '.join(used) or 'nothing'}",
            consequence="it would render on another device, so nothing is rendered",
            remedy="run `pairbridge doctor`, which lists the devices",
        )


@contextlib.contextmanager
def one_at_a_time(folder: Path | None = None) -> Iterator[None]:
    """Of all processes of this machine that enter with the same `folder` (default: the temporary one), one.

    For the first use of a GPU, when kernels are compiled and cached for minutes: workers that all do it at
    once take as long each, and have broken the cache.
    """
    path = (folder or Path(tempfile.gettempdir())) / "pairbridge-gpu-warm-up.lock"
    with open(path, "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
