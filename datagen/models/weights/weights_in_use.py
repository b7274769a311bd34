"""Weights are read like the files of assets: one that cannot be read is a fault of the machine, and other
bytes than those that a run began with end it.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from safetensors import SafetensorError

from pairbridge.datagen.core.errors import FileUnreadable, PairbridgeError
from pairbridge.datagen.core.json_digest import Stamp, file_sha256, file_stamp

# What libraries raise for files that are not what they expect, or that could not be read.
DAMAGE = (OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, SafetensorError)

Opened = TypeVar("Opened")


class WeightsChanged(PairbridgeError):
    """A file of weights holds other bytes than when the run began."""


@runtime_checkable
class NeedsWeights(Protocol):
    """Settings of a model that is read from files."""

    def weight_files(self) -> tuple[Path, ...]:
        """Every file that it is read from, there or not, in an order that depends on the settings alone."""


# sha256 of each of the files of some settings; None for one that is not there.
Sums = Mapping[Any, tuple[str | None, ...]]


def weight_sums(settings: Iterable[Any]) -> Sums:
    """What the weights of these settings are now, of those that need any. Raises FileUnreadable."""
    return {
        one: tuple(_sha256(path) for path in one.weight_files())
        for one in settings
        if isinstance(one, NeedsWeights)
    }


class WeightsInUse:
    """The weights that one process works with, held against those that the run began with."""

    def __init__(self, begun: Sums | None = None) -> None:
        self._begun = begun or {}

    def opened(self, settings: Any, opening: Callable[[Any], Opened]) -> Opened:
        """`opening(settings)`. Raises FileUnreadable and WeightsChanged beside what it raises."""
        if not isinstance(settings, NeedsWeights):
            return opening(settings)
        before = self._proven(settings)
        opened = opening(settings)
        if _stamps(settings) != before:
            raise FileUnreadable(
                f"a file of {', '.join(sorted({str(path.parent) for path in settings.weight_files()}))} was "
                "touched while it was read",
                consequence="which weights were read is not known: nothing is made with them",
                remedy="leave the folders of weights alone while a run goes on",
            )
        return opened

    def _proven(self, settings: NeedsWeights) -> dict[Path, Stamp]:
        stamps = _stamps(settings)
        for path, begun in zip(settings.weight_files(), self._begun.get(settings, ()), strict=False):
            if begun is None:
                continue  # whoever opens the model says what is missing
            found = _sha256(path)
            if found is None:
                raise FileUnreadable.of(path, FileNotFoundError(None, "it is gone"))
            if found != begun:
                raise WeightsChanged(
                    f"{path} has the sha256 {found[:16]}…, and had {begun[:16]}… when the run began",
                    consequence="the run stops: samples of two models would be mixed; all that was made "
                    "before is kept",
                    remedy="restore the file and run the same command again, or generate into a new folder",
                )
        return stamps


def read_twice(path: Path, load: Callable[[], Opened]) -> Opened:
    """`load()`, which reads the file or the folder at `path`.

    What it raises against them stands if all of them can be read and it raises it again: libraries tell a
    failed reading no better from damage than Blender does. Raises FileUnreadable.
    """
    try:
        return load()
    except DAMAGE:
        if path.exists():
            for file in [path] if path.is_file() else sorted(path.rglob("*")):
                if file.is_file():
                    _sha256(file)
    return load()


def _sha256(path: Path) -> str | None:
    try:
        return file_sha256(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileUnreadable.of(path, error) from error


def _stamps(settings: NeedsWeights) -> dict[Path, Stamp]:
    stamps = {}
    for path in settings.weight_files():
        try:
            stamps[path] = file_stamp(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise FileUnreadable.of(path, error) from error
    return stamps
