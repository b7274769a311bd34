"""Licence, author and origin of a user's file, read from what downloads carry.

Looked at in this order; the first that states a licence or an author wins:

1. `chair.json`, `chair.glb.json`: beside the file. A lone .json in a folder of one file counts too, as the
   results of BlenderKit's search are kept.
2. Objaverse's index: `metadata/<folder>.json.gz` beside `glbs/<folder>/<uid>.glb`, and `annotations.json` or
   `metadata.json` (or .json.gz) in the folder or any above it up to the root, keyed by the file's stem.
3. The file's own: glTF's `asset.copyright` and `asset.extras`, as Sketchfab writes them.

Whatever is damaged says nothing: provenance is then "unspecified", and the asset is still used.
"""

import gzip
import re
import struct
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pairbridge.datagen.core.bounded_json import parse_json
from pairbridge.datagen.core.errors import FileUnreadable, is_of_machine
from pairbridge.datagen.core.limits import MAX_CREDITS_BYTES, MAX_GLTF_JSON_BYTES

_INDEX_NAMES = tuple(
    f"{stem}.json{packed}" for stem in ("annotations", "metadata", "asset_data") for packed in ("", ".gz")
)
_CC = re.compile(r"\b(?:cc[\s_-]*)?(by(?:[\s_-]*(?:nc|nd|sa))*)(?:[\s_-]*(\d\.\d))?\b", re.IGNORECASE)
_CC0 = re.compile(r"\bcc[\s_-]?(0|zero)\b|publicdomain/zero", re.IGNORECASE)
_LICENCE_KEYS = ("license", "licence", "license_type", "licenseType", "copyright")
_AUTHOR_KEYS = ("author", "user", "creator", "artist")
_NAME_KEYS = ("displayName", "fullName", "full_name", "name", "username")
_SOURCE_KEYS = ("viewerUrl", "url", "source", "uri", "fileIdentifier")


@dataclass(frozen=True, slots=True)
class Credit:
    """What is stated; None where nothing is."""

    licence: str | None = None
    author: str | None = None
    source: str | None = None

    def __bool__(self) -> bool:
        return bool(self.licence or self.author)


@dataclass(frozen=True)
class CreditReader:
    """Reads the credits of one root folder's files; every index is opened once."""

    root: Path

    def read(self, path: Path) -> Credit:
        """The credit of one file under the root, empty where nothing is stated."""
        for entry in self._entries(path):
            credit = credit_of(entry)
            if credit:
                return credit
        return Credit()

    def _entries(self, path: Path):
        for name in (f"{path.stem}.json", f"{path.name}.json"):
            yield self._json(path.with_name(name))
        here = self._by_suffix(path.parent)
        # A picture or a licence text beside it is no second asset.
        if len(here[path.suffix.lower()]) == len(here.get(".json", ())) == 1:
            yield self._json(here[".json"][0])
        shard = path.parent
        yield _keyed(self._json(shard.parent.parent / "metadata" / f"{shard.name}.json.gz"), path.stem)
        folder = path.parent
        while True:
            for name in _INDEX_NAMES:
                yield _keyed(self._json(folder / name), path.stem)
            if folder == self.root or folder == folder.parent:
                break
            folder = folder.parent
        if path.suffix.lower() in (".glb", ".gltf"):
            yield _gltf_asset(path)

    def _by_suffix(self, folder: Path) -> dict[str, list[Path]]:
        # Once a folder: there may be a hundred thousand files in it.
        if folder not in self._listed:
            listed: dict[str, list[Path]] = {}
            for item in sorted(folder.iterdir()):
                listed.setdefault(item.suffix.lower(), []).append(item)
            self._listed[folder] = listed
        return self._listed[folder]

    @cached_property
    def _listed(self) -> dict[Path, dict[str, list[Path]]]:
        return {}

    @cached_property
    def _opened(self) -> dict[Path, Any]:
        return {}

    def _json(self, path: Path) -> Any:
        if path not in self._opened:
            self._opened[path] = _load(path)
        return self._opened[path]


def credit_of(entry: Any) -> Credit:
    """The credit in one JSON object, whatever its maker calls the keys."""
    if not isinstance(entry, dict):
        return Credit()
    # BlenderKit's search results wrap the author; Sketchfab's export puts everything into extras.
    if isinstance(entry.get("extras"), dict):
        entry = {**entry, **entry["extras"]}
    licence = _first(entry, _LICENCE_KEYS, ("slug", "label", "fullName", "name", "url"))
    author = _first(entry, _AUTHOR_KEYS, _NAME_KEYS)
    source = _first(entry, _SOURCE_KEYS, ())
    base_id = entry.get("assetBaseId")
    if isinstance(base_id, str):
        source = f"https://www.blenderkit.com/asset-gallery-detail/{base_id}/"
    return Credit(licence and spdx(licence), author, source)


def spdx(text: str) -> str:
    """The SPDX name of a licence as Sketchfab, Objaverse or BlenderKit write it; other text as it is.

    A bare "by-nc" is version 4.0, the one that Sketchfab and thus Objaverse use.
    """
    plain = text.strip()
    if _CC0.search(plain):
        return "CC0-1.0"
    if plain.lower().replace("-", "_") == "royalty_free":
        return "LicenseRef-BlenderKit-Royalty-Free"
    match = _CC.search(plain.replace("creativecommons.org/licenses/", "cc-").replace("/", "-"))
    if match and (match.group(0).lower().startswith("cc") or match.group(0) == plain):
        kind = re.sub(r"[\s_-]+", "-", match.group(1)).upper()
        return f"CC-{kind}-{match.group(2) or '4.0'}"
    return plain


def _first(entry: dict[str, Any], keys: tuple[str, ...], inner: tuple[str, ...]) -> str | None:
    for key in keys:
        value = entry.get(key)
        if isinstance(value, dict):
            names = " ".join(str(value[part]) for part in ("firstName", "lastName") if value.get(part))
            value = names if names and inner == _NAME_KEYS else _first(value, inner, ())
        if isinstance(value, str) and value.strip():
            return value.strip()
    return None


def _keyed(index: Any, stem: str) -> Any:
    """The entry of one file in an index: a mapping by stem, or a list of entries with a `uid`."""
    if isinstance(index, list):
        return next((e for e in index if isinstance(e, dict) and stem in (e.get("uid"), e.get("id"))), None)
    return index.get(stem) if isinstance(index, dict) else None


def _load(path: Path) -> Any:
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rb") as stream:
            return parse_json(stream.read(MAX_CREDITS_BYTES + 1), MAX_CREDITS_BYTES)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, zlib.error) as error:
        if isinstance(error, OSError) and is_of_machine(error):
            raise FileUnreadable.of(path, error) from error
        return None


def _gltf_asset(path: Path) -> Any:
    try:
        with open(path, "rb") as stream:
            if path.suffix.lower() == ".glb":
                length, kind = struct.unpack_from("<I4s", stream.read(20), 12)
                text = stream.read(min(length, MAX_GLTF_JSON_BYTES)) if kind == b"JSON" else b""
            else:
                text = stream.read(MAX_GLTF_JSON_BYTES)
        return parse_json(text, MAX_GLTF_JSON_BYTES)["asset"]
    except (ValueError, KeyError, TypeError, struct.error):
        return None
    except OSError as error:
        raise FileUnreadable.of(path, error) from error
