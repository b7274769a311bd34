"""What is read is what was hashed: the files of assets, held against the catalogue while samples are made.

A process proves each asset once, by the sha256 of its file and of those that it refers to. From then on size
and times tell whether a file was touched: they are looked at when an asset is first used in a group, and once
more when the group is made. One that was touched is proven again.

A file that cannot be read, or changes while it is read, says nothing about the asset: that is
`FileUnreadable`, and the group is made again; so is one that is gone. Other bytes in a file of the
catalogue's, or in one that it refers to, are `AssetChanged`, and end the run.
"""

import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from pairbridge.datagen.assets.catalogue import Asset, Catalogue
from pairbridge.datagen.assets.material_maps import material_companions
from pairbridge.datagen.assets.object_files import companions, stated_companions
from pairbridge.datagen.assets.object_rules import AddonConfig
from pairbridge.datagen.core.errors import FileUnreadable, PairbridgeError
from pairbridge.datagen.core.json_digest import Stamp, digest, file_sha256, file_stamp


class AssetChanged(PairbridgeError):
    """A file of an asset holds other bytes than when the dataset's catalogue was made."""


class _Proven(NamedTuple):
    """An asset whose files were read and found right: what each of them looked like from outside then."""

    path: Path
    stamps: dict[Path, Stamp]
    sums: dict[str, str]  # of the files that it may refer to, by their relative names


def content_sha256(file: str, addon: AddonConfig | None) -> str:
    """The hash of an asset in the catalogue: of its file, and of the code of an add-on that reads it, which
    decides what it shows as much as its bytes do."""
    return file if addon is None else digest([file, code_sha256(addon.path)])


def code_sha256(path: Path) -> str:
    """One digest of an add-on's Python code."""
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    return digest({file.relative_to(path.parent).as_posix(): file_sha256(file) for file in files})


def asset_companions(kind: str, path: Path) -> tuple[str, ...]:
    """Relative names, sorted, of the files that an asset needs beside its own. Raises OSError."""
    match kind:
        case "object" | "scene":
            return companions(path)
        case "material":
            return material_companions(path)
    return ()


def stated_by_asset(kind: str, path: Path) -> tuple[str, ...]:
    """As `asset_companions`, without those that only Blender can tell. Raises OSError."""
    return stated_companions(path) if kind in ("object", "scene") else asset_companions(kind, path)


def beside_sha256(path: Path, names: Iterable[str]) -> str:
    """How many files an object at `path` refers to, and one digest of them, as `3-0f…`; empty if there are
    none. With the number, one that is gone for a moment is told from one that has changed. Raises OSError.
    """
    return _of_sums({name: file_sha256(path.parent / name) for name in sorted(names)})


class FilesInUse:
    """The files that one process makes samples from. Between `begin` and `settle` lies one group."""

    def __init__(
        self,
        addons: Iterable[AddonConfig] = (),
        locate: Callable[[Asset], Path | None] = lambda asset: asset.path,
    ) -> None:
        """`locate` says where an asset's file lies on this machine; it may copy it there, and raises OSError
        if it cannot be read."""
        self._addons = {suffix: addon for addon in addons for suffix in addon.imports}
        self._locate = locate
        self._proven: dict[str, _Proven] = {}
        self._used: dict[str, Asset] = {}
        # Many objects may share one folder of textures.
        self._sums: dict[Path, tuple[Stamp, str]] = {}

    def begin(self) -> None:
        """A group begins: every asset is looked at again when it is first used."""
        self._used.clear()

    def path_of(self, asset: Asset) -> Path | None:
        """Where the asset's file lies, with the catalogue's bytes; None for one without a file.

        Raises FileUnreadable and AssetChanged.
        """
        if asset.path is None:
            return None
        if asset.id not in self._used:
            known = self._proven.get(asset.id)
            if known is None or not _is_untouched(known):
                self._proven[asset.id] = self._prove(asset)
            self._used[asset.id] = asset
        return self._proven[asset.id].path

    def prove_again(self) -> None:
        """Read every file that the group has used so far, and hold it against the catalogue.

        Raises FileUnreadable and AssetChanged.
        """
        self._sums.clear()
        for asset in self._used.values():
            self._proven[asset.id] = self._prove(asset)

    def settle(self) -> None:
        """The group is made: raise FileUnreadable if one of its files was touched since it was first used."""
        for asset in self._used.values():
            if not _is_untouched(self._proven[asset.id]):
                raise FileUnreadable(
                    f"{self._proven[asset.id].path}, or a file that it refers to, was touched while it was "
                    "read",
                    consequence="which bytes were read is not known: what was made of them is not used",
                    remedy="leave the asset folders alone while a run goes on",
                )

    def _prove(self, asset: Asset) -> _Proven:
        path = asset.path
        try:
            path = self._locate(asset)
            names, stated = asset_companions(asset.kind, path), stated_by_asset(asset.kind, path)
            stamps = {file: file_stamp(file) for file in (path, *(path.parent / name for name in names))}
            sha256 = content_sha256(self._sha256(path), self._addons.get(path.suffix.lower()))
            sums = {name: self._sha256(path.parent / name) for name in names}
        except OSError as error:
            raise FileUnreadable.of(path, error) from error
        proven = _Proven(path, stamps, sums)
        if not _is_untouched(proven):
            raise FileUnreadable.of(path, OSError(errno.EBUSY, "it is being written"))
        if sha256 != asset.sha256:
            raise _changed(
                asset,
                f"{path} has the sha256 {sha256[:16]}…, the catalogue of this run {asset.sha256[:16]}…",
            )
        # Of what only Blender can read it is not known which pictures it names: those of its first use count.
        before = self._proven[asset.id].sums if asset.id in self._proven else sums
        beside = {name: sums[name] for name in stated}
        others = [name for name in before if sums.get(name, before[name]) != before[name]]
        gone = before.keys() - sums.keys() or len(beside) < _count(asset.beside)
        if gone and not others:
            raise FileUnreadable(
                f"files that {path} refers to (materials, buffers, textures) are gone",
                consequence="samples made from it now would not be those of the dataset",
                remedy="restore them and run the same command again, or generate into a new folder",
            )
        if others or _of_sums(beside) != asset.beside:
            which = others[0] if others else "one of the files"
            raise _changed(
                asset, f"{which} that {path} refers to (materials, buffers, textures) has other bytes"
            )
        return proven

    def _sha256(self, path: Path) -> str:
        stamp = file_stamp(path)
        known = self._sums.get(path)
        if known is None or known[0] != stamp:
            self._sums[path] = known = (stamp, file_sha256(path))
        return known[1]


@dataclass(frozen=True)
class ProvenCatalogue(Catalogue):
    """A catalogue for making samples: `get` gives each asset the path of a file that was held against it.

    Raises FileUnreadable and AssetChanged beside what `Catalogue.get` does.
    """

    files: FilesInUse = field(default_factory=FilesInUse, compare=False)

    def get(self, asset_id: str) -> Asset:
        asset = super().get(asset_id)
        path = self.files.path_of(asset)
        return asset if path == asset.path else replace(asset, path=path)


def _is_untouched(proven: _Proven) -> bool:
    try:
        return all(file_stamp(path) == stamp for path, stamp in proven.stamps.items())
    except OSError:
        return False


def _of_sums(sums: dict[str, str]) -> str:
    return f"{len(sums)}-{digest(sums)}" if sums else ""


def _count(beside: str) -> int:
    return int(beside.partition("-")[0] or 0)


def _changed(asset: Asset, how: str) -> AssetChanged:
    return AssetChanged(
        f"asset {asset.id} has changed: {how}",
        consequence="the run stops: samples made from it now would not be those of the dataset; all that was "
        "made before is kept",
        remedy="restore the file and run the same command again, or generate into a new folder",
    )
