"""Errors that a user reads at a terminal: what happened, what it means for the run, what to do next."""

import copyreg
import errno
from pathlib import Path
from typing import Self


class PairbridgeError(Exception):
    """Base of every error the command line prints without a traceback.

    `cause` names the thing (a path, a key, a field), `consequence` says what would have happened or did,
    `remedy` is what to type or change next.
    """

    def __init__(self, cause: str, *, consequence: str, remedy: str) -> None:
        super().__init__(f"{cause}\n  consequence: {consequence}\n  remedy: {remedy}")
        self.cause = cause
        self.consequence = consequence
        self.remedy = remedy

    def __reduce__(self):
        # Errors cross process borders, and the default pickling calls `__init__` without its keywords.
        return copyreg.__newobj__, (type(self), *self.args), vars(self)


class ConfigError(PairbridgeError):
    """A configuration that cannot be run as written."""


class CatalogueError(PairbridgeError):
    """The catalogue lacks what the plan needs, or contradicts itself."""


class AssetError(PairbridgeError):
    """One asset (object, HDRI, photograph) is broken. What follows from it is known to whoever asked for it:
    a dataset puts its samples into quarantine and goes on, `translate` leaves an image out.

    `fault` names the kind of damage in one word, such as "truncated"; `docs/assets.md` lists them.
    """

    def __init__(
        self,
        cause: str,
        *,
        remedy: str,
        fault: str = "unusable",
        consequence: str = "nothing can be made from it",
    ) -> None:
        super().__init__(cause, consequence=consequence, remedy=remedy)
        self.fault = fault


class ShardError(PairbridgeError):
    """A shard or its sidecar on disk is not what it should be."""


# What an OSError says of a name or of contents. Any other speaks of the machine: disk, mount, rights, limits.
_OF_CONTENTS = frozenset({None, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR})


class FileUnreadable(PairbridgeError):
    """A file or folder could not be read: a fault of the machine, never of what the file holds."""

    @classmethod
    def of(cls, path: Path, error: OSError) -> Self:
        return cls(
            f"{path} cannot be read: {error.strerror or error}",
            consequence="that says nothing about what it holds: nothing is left out or quarantined for it",
            remedy="see to it that the file is there and this user may read it (mounts, permissions, limits "
            "of open files), and run the same command again",
        )


def is_of_machine(error: OSError) -> bool:
    """Whether a failed reading speaks of the machine rather than of a name that a file holds.

    Libraries raise an OSError without a number for contents that they cannot decode.
    """
    return error.errno not in _OF_CONTENTS


class Rejected(PairbridgeError):
    """A draw of a pair was refused; the reason is deterministic, is recorded, and the pair is drawn again.

    `gate` names the gate of `pairbridge.datagen.imaging.quality`, or what else refused it, for the counts of
    the report.
    """

    def __init__(
        self,
        cause: str,
        *,
        remedy: str,
        gate: str = "recipe",
        consequence: str = "the pair is drawn again, or quarantined",
    ) -> None:
        super().__init__(cause, consequence=consequence, remedy=remedy)
        self.gate = gate
