"""Errors that a user reads at a terminal: what happened, what it means for the run, what to do next."""

import copyreg


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
