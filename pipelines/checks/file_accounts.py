"""What becomes of every file below the folders of a check, whatever its suffix; counts add up to the files on
disk.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pairbridge.datagen.assets.catalogue import AssetsConfig, LeftOut
from pairbridge.datagen.assets.files_in_use import asset_companions
from pairbridge.datagen.sourcing.folder_listing import listed_files
from pairbridge.datagen.sourcing.other_files import other_file
from pairbridge.pipelines.checks.asset_check import Checked
from pairbridge.pipelines.checks.texture_names import textures_of

Fate = Literal["used", "refused", "companion", "excluded", "ignored"]


@dataclass(frozen=True, slots=True)
class FileAccount:
    """One file: what becomes of it, and why."""

    path: Path
    fate: Fate
    reason: str

    def record(self, root: Path) -> dict[str, Any]:
        """As JSON, its path relative to `root` where it lies below."""
        return {"path": shown(self.path, root), "fate": self.fate, "reason": self.reason}


def shown(path: Path, root: Path) -> str:
    """The path as a reader of a report of `root` knows it."""
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def file_accounts(
    roots: Iterable[Path], config: AssetsConfig, checked: Sequence[Checked], left_out: Sequence[LeftOut]
) -> list[FileAccount]:
    """One for each file below the `roots`, by path. `checked` and `left_out` are what a check of the config's
    folders gave."""
    known: dict[Path, FileAccount] = {}
    for one in checked:
        fate = "used" if one.usable else "refused"
        _put(known, FileAccount(one.asset.path, fate, one.reason))
    for left in left_out:
        _put(known, FileAccount(left.path, "refused" if left.refused else "excluded", left.reason))
    beside = {
        one.asset.path.parent / name: one.asset.path
        for one in checked
        for name in asset_companions(one.asset.kind, one.asset.path)
    }
    textures = textures_of(config)
    accounts: dict[Path, FileAccount] = {}
    for root in roots:
        for listed in listed_files(root):
            path = listed.path
            looked_at = [
                kind
                for kind, folders in config.folders.items()
                if any(path.is_relative_to(folder) for folder in folders)
            ]
            if listed.ignored:
                account = FileAccount(path, "ignored", listed.ignored)
            elif path in known and known[path].fate == "used":
                account = known[path]
            elif path in beside:
                account = FileAccount(path, "companion", f"of {beside[path].name}")
            elif any(names.has(path) for names in textures):
                account = FileAccount(path, "companion", "a texture of an object")
            elif path in known:
                account = known[path]
            elif not looked_at:
                account = FileAccount(path, "ignored", "no folder of assets holds it")
            else:
                other = other_file(path, *looked_at)
                account = FileAccount(path, "refused" if other.refused else "ignored", other.reason)
            accounts.setdefault(path, account)
    return [accounts[path] for path in sorted(accounts)]


def summary(accounts: Sequence[FileAccount]) -> str:
    """How many files there are, and what becomes of them."""
    counts = Counter(account.fate for account in accounts)
    words = {
        "used": "used",
        "refused": "refused",
        "companion": "companions of others",
        "excluded": "excluded",
        "ignored": "ignored",
    }
    parts = [f"{counts[fate]} {word}" for fate, word in words.items() if counts[fate]]
    return f"{len(accounts)} files: {', '.join(parts) or 'none'}"


def _put(known: dict[Path, FileAccount], account: FileAccount) -> None:
    # Where a file is looked at as several kinds, one that it can be used as decides.
    if account.path not in known or account.fate == "used":
        known[account.path] = account
