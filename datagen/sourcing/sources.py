"""Where assets are found: the embedded catalogue, lightings baked for the dataset, and a user's folders."""

import difflib
import hashlib
import importlib.util
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import pairbridge.blender_assets
from pairbridge.datagen.assets.catalogue import (
    EXCLUDED,
    HUMAN,
    UNSPECIFIED,
    Asset,
    AssetKind,
    AssetsConfig,
    Catalogue,
    LeftOut,
)
from pairbridge.datagen.assets.exr_files import MADE_FROM, exr_attribute
from pairbridge.datagen.assets.files_in_use import content_sha256
from pairbridge.datagen.assets.material_maps import material_sets
from pairbridge.datagen.assets.object_files import OBJECT_SUFFIXES, companions, default_up
from pairbridge.datagen.assets.object_rules import ObjectRules, UpAxis
from pairbridge.datagen.assets.photographs import PhotoRules
from pairbridge.datagen.core.errors import CatalogueError, ConfigError, FileUnreadable
from pairbridge.datagen.core.json_digest import digest, file_sha256
from pairbridge.datagen.core.splits import SPLITS
from pairbridge.datagen.core.yaml_text import read_document
from pairbridge.datagen.sourcing.content_groups import Comparable, common_name, haven_name
from pairbridge.datagen.sourcing.credits import Credit, CreditReader
from pairbridge.datagen.sourcing.file_facts import FactReader, FileToRead, beside_digests
from pairbridge.datagen.sourcing.folder_listing import listed_files, root_of
from pairbridge.datagen.sourcing.other_files import other_file
from pairbridge.datagen.sourcing.placement import FoundAsset, place_assets

_SUFFIXES: dict[AssetKind, frozenset[str]] = {
    "object": OBJECT_SUFFIXES,
    "hdri": frozenset({".exr", ".hdr"}),
    "scene": frozenset({".blend", ".glb", ".gltf"}),
    "photo": frozenset({".jpg", ".jpeg", ".jpe", ".jif", ".jfif", ".png", ".webp"}),
}
PIN_FILE = "catalogue.yaml"
_FRONT_OF_PEOPLE = -90.0
_PIN_KEYS = frozenset(
    {
        "split",
        "licence",
        "author",
        "source",
        "exclude",
        "tags",
        "up",
        "size_m",
        "camera_height_m",
        "front",
        "group",
    }
)
_EVERY_FILE = "*"
_BAKED_NAME = re.compile(
    r"(?P<lighting>sky|rig|blend|outdoor|interior)-(?P<split>train|validation|test)-\d{3,}\Z"
)


def build_catalogue(
    config: AssetsConfig,
    lightings_dir: Path | None,
    settled: Mapping[str, Comparable] | None = None,
    *,
    bpy_folder: Path | None = None,
) -> Catalogue:
    """Every asset the config names, plus the lightings baked in `lightings_dir` (None: none are baked yet).

    What belongs together comes into one split. `settled` are the assets, by id, of a dataset that was begun:
    they stay where they are, and what joins them goes there. `bpy_folder` is that of the bpy that renders,
    which brings the embedded HDRIs (None: this interpreter's). Raises ConfigError for a folder that is
    missing and CatalogueError for an entry that contradicts another.
    """
    embedded = embedded_assets(config.families, bpy_folder) if config.embedded else []
    found = [*embedded, *(baked_assets(lightings_dir) if lightings_dir else ())]
    own, left_out = user_files(config, {asset.id for asset in found})
    known = [FoundAsset(asset, _names_of(asset), asset.split) for asset in found]
    placed, astray = place_assets([*known, *own], settled or {})
    return Catalogue(tuple(placed), (*left_out, *astray))


def _names_of(asset: Asset) -> frozenset[str]:
    haven = haven_name(asset.source) if asset.kind == "hdri" else None
    # A user's file of an embedded asset's name is another thing, but for Poly Haven's own names.
    return frozenset({haven or f"pairbridge/{asset.id}"})


def kind_of_file(path: Path) -> AssetKind:
    """What the suffix of a file says that it is. Raises ConfigError if it is no asset's."""
    for kind, suffixes in _SUFFIXES.items():
        if path.suffix.lower() in suffixes:
            return kind
    raise ConfigError(
        f"{path} is no asset: {other_file(path, *_SUFFIXES).reason}",
        consequence="nothing can be made of it",
        remedy="name an object, an environment map or a photograph in one of these formats",
    )


def embedded_assets(families: tuple[str, ...] | None, bpy_folder: Path | None = None) -> list[Asset]:
    """The embedded catalogue, restricted to `families` if given.

    HDRIs are listed only where there is a bpy, in `bpy_folder` or for this interpreter, photographs only
    where scikit-image is: a plan that needs what is missing is then refused with the counts. Raises
    ConfigError for a family that does not exist.
    """
    catalogue = _load_yaml(Path(pairbridge.blender_assets.__file__).with_name("catalogue.yaml"))
    known = catalogue["families"]
    wanted = tuple(known) if families is None else families
    for family in wanted:
        if family not in known:
            raise ConfigError(
                f"assets.families names {family!r}, which is no embedded family",
                consequence="its objects cannot be built",
                remedy=f"use some of: {', '.join(sorted(known))}",
            )
    code = families_sha256()
    found = [
        Asset(
            id=family,
            kind="family",
            split=known[family]["split"],
            licence="Apache-2.0",
            author="pairbridge",
            source="pairbridge.datagen.blender.families",
            # Families share code, yet one is no copy of another.
            sha256=digest([family, code]),
            family=family,
            tags=tuple(known[family].get("tags", ())),
            front=catalogue["fronts"].get(family),
        )
        for family in wanted
    ]
    worlds = _first_match(
        [bpy_folder] if bpy_folder else _package_folders("bpy"), "*/datafiles/studiolights/world"
    )
    if worlds:
        found += [_wheel_hdri(name, entry, worlds) for name, entry in catalogue["hdris"].items()]
    photos = _first_match(_package_folders("skimage"), "data")
    if photos:
        found += [_photo(name, entry, photos) for name, entry in catalogue["photos"].items()]
    return _with_facts(found)


def baked_assets(lightings_dir: Path) -> list[Asset]:
    """The lightings that `pairbridge.datagen.lighting.baking.baked.bake_lightings` put in `lightings_dir`."""
    found = []
    for path in sorted(lightings_dir.glob("*.exr")):
        match = _BAKED_NAME.match(path.stem)
        if match:
            made_from = json.loads(exr_attribute(path, MADE_FROM) or "{}")
            found.append(
                baked_asset(
                    path.stem,
                    match["lighting"],
                    match["split"],
                    path=path,
                    sha256="",
                    camera_height_m=made_from.get("camera_height_m"),
                )
            )
    return _with_facts(found)


def baked_asset(
    asset_id: str,
    lighting: Any,
    split: Any,
    *,
    path: Path | None,
    sha256: str,
    camera_height_m: float | None = None,
) -> Asset:
    """The catalogue entry of one lighting made by this package."""
    return Asset(
        id=asset_id,
        kind="hdri",
        split=split,
        licence="CC0-1.0",
        author="pairbridge",
        source=f"pairbridge.datagen.lighting.baking.baked ({lighting})",
        sha256=sha256,
        path=path,
        lighting=lighting,
        camera_height_m=camera_height_m,
    )


def user_files(config: AssetsConfig, taken: Set[str]) -> tuple[list[FoundAsset], list[LeftOut]]:
    """Every file of the user's folders: those that can be used, and the others with the reason.

    An id is the sanitised relative stem; where it is taken, or two files share it, a short hash of folder
    number and relative path is appended to each. Raises ConfigError for a missing folder, CatalogueError for
    a catalogue.yaml that does not fit its folder.
    """
    own = {suffix: addon for addon in config.addons for suffix in addon.imports}
    places = [
        (kind, position, place)
        for kind, kind_places in config.folders.items()
        for position, place in enumerate(kind_places)
    ]
    files = [
        (kind, position, read.root, read)
        for kind, position, place in places
        for read in (
            _material_files(place)
            if kind == "material"
            else _asset_files(kind, place, _SUFFIXES[kind] | (own.keys() if kind == "object" else set()))
        )
    ]
    stems = Counter(_sanitised(read.relative) for *_, read in files)
    beside: defaultdict[Path, set[str]] = defaultdict(set)
    for _, _, _, read in files:
        beside[read.path.parent].add(read.path.stem.lower())
    facts = FactReader(config.photo_rules, config.object_rules).read([read for *_, read in files])
    found: list[FoundAsset] = []
    left_out: list[LeftOut] = []
    pins = {folder: _pins(folder) for folder in (root_of(place) for *_, place in places)}
    used: dict[Path, set[str]] = {folder: {_EVERY_FILE} for folder in pins}
    credits = {folder: CreditReader(folder) for folder in pins}
    for (kind, position, folder, read), fact in zip(files, facts, strict=True):
        path = read.path
        relative = read.relative
        asset_id = _sanitised(relative)
        if stems[asset_id] > 1 or asset_id in taken:
            where = f"{kind}/{position}/{relative.as_posix()}"
            asset_id = f"{asset_id}-{hashlib.sha256(where.encode()).hexdigest()[:8]}"
        pin = pins[folder].get(_EVERY_FILE, {}) | pins[folder].get(asset_id, {})
        used[folder].add(asset_id)
        fault, reason = (EXCLUDED, pin["exclude"]) if "exclude" in pin else (fact.fault, fact.reason)
        if fault:
            left_out.append(LeftOut(asset_id, kind, path, fact.sha256, fault, reason))
            continue
        stated = credits[folder].read(path) if not {"licence", "author"} <= pin.keys() else Credit()
        addon = own.get(path.suffix.lower())
        source = pin.get("source", stated.source or relative.as_posix())
        names = {pin.get("group") or common_name(relative, frozenset(beside[path.parent]))}
        if kind == "hdri" and (haven := haven_name(source)):
            names.add(haven)
        asset = Asset(
            id=asset_id,
            kind=kind,
            split=pin.get("split", "train"),
            licence=pin.get("licence", stated.licence or UNSPECIFIED),
            author=pin.get("author", stated.author or UNSPECIFIED),
            source=source,
            sha256=content_sha256(fact.sha256, addon),
            beside=fact.beside,
            path=path,
            lighting="hdri" if kind == "hdri" else None,
            tags=tuple(pin.get("tags", ())),
            up=pin.get("up", default_up(path)) if kind == "object" else None,
            camera_height_m=float(pin["camera_height_m"]) if "camera_height_m" in pin else None,
            size_m=float(pin["size_m"]) if kind in ("object", "material") and "size_m" in pin else None,
            front=_front(pin) if kind == "object" else None,
            fingerprint=fact.fingerprint,
        )
        found.append(FoundAsset(asset, frozenset(names), pin.get("split")))
    for folder, entries in pins.items():
        unused = entries.keys() - used[folder]
        # A folder of several kinds of assets has one catalogue.yaml for all of them.
        there = (
            (PurePosixPath(one.path.relative_to(folder)) for one in listed_files(folder)) if unused else ()
        )
        for asset_id in sorted(unused.difference(map(_sanitised, there))):
            near = difflib.get_close_matches(asset_id, sorted(used[folder]), n=1)
            raise CatalogueError(
                f"{folder / PIN_FILE} pins {asset_id!r}, but no file in the folder has this id",
                consequence="a file could land in another split than intended",
                remedy=f"did you mean {near[0]!r}?" if near else "remove the entry, or name a file's id",
            )
    return found, left_out


def _with_facts(assets: Sequence[Asset]) -> list[Asset]:
    """The assets of this package and its lightings, hashed and looked at."""
    # What is baked looks alike by intention; a family has no file.
    files = [
        FileToRead(asset.kind if asset.lighting in (None, "hdri") else "baked", path, path.parent)
        for asset in assets
        if (path := asset.path)
    ]
    read = FactReader(PhotoRules(), ObjectRules()).read(files)
    facts = {file.path: fact for file, fact in zip(files, read, strict=True)}
    return [
        replace(asset, sha256=facts[asset.path].sha256, fingerprint=facts[asset.path].fingerprint)
        if asset.path
        else asset
        for asset in assets
    ]


def families_sha256() -> str:
    """One digest of all code that builds procedural objects: families share materials."""
    # FoundAsset by its place and not by an import: the catalogue knows nothing of Blender.
    folder = Path(__file__).parents[1] / "blender"
    rooms = ("families", "modelling", "shading")
    files = sorted(path for room in rooms for path in (folder / room).rglob("*.py"))
    return digest({path.relative_to(folder).as_posix(): file_sha256(path) for path in files})


def _wheel_hdri(name: str, entry: dict[str, Any], folder: Path) -> Asset:
    path = folder / f"{name}.exr"
    return Asset(
        id=name,
        kind="hdri",
        split=entry["split"],
        licence="CC0-1.0",
        author="Greg Zaal (Poly Haven)",
        source=entry["source"],
        sha256="",
        path=path,
        lighting="hdri",
    )


def _photo(name: str, entry: dict[str, Any], folder: Path) -> Asset:
    path = folder / entry["file"]
    return Asset(
        id=name,
        kind="photo",
        split=entry["split"],
        licence=entry["licence"],
        author=entry["author"],
        source=entry["source"],
        sha256="",
        path=path,
    )


def _package_folders(package: str) -> list[Path]:
    # find_spec looks a package up without running it: importing bpy starts Blender in this process.
    spec = importlib.util.find_spec(package)
    return [Path(location) for location in (spec.submodule_search_locations or ())] if spec else []


def _first_match(folders: list[Path], pattern: str) -> Path | None:
    return next((found for folder in folders for found in sorted(folder.glob(pattern))), None)


def _asset_files(kind: AssetKind, place: Path, suffixes: Set[str]) -> list[FileToRead]:
    try:
        there = place.exists()
    except OSError as error:
        raise FileUnreadable.of(place, error) from error
    if not there:
        raise ConfigError(
            f"assets: {place} is neither a folder nor a file",
            consequence=f"its {kind} assets would silently be missing from the dataset",
            remedy="create it, or correct the path (paths are relative to the YAML file)",
        )
    if place.is_file() and place.suffix.lower() not in suffixes:
        raise ConfigError(
            f"assets: {place} is no {kind}: {other_file(place, kind).reason}",
            consequence="nothing could be made of it",
            remedy=f"name a file of another format: {', '.join(sorted(suffixes))}",
        )
    root = root_of(place)
    listed = [one.path for one in listed_files(place) if not one.ignored]
    # What an object refers to decides whether it can be used. Of a single file nobody meant its whole folder.
    near = (
        [root / name for name in _companions(place)]
        if kind in ("object", "scene") and place.is_file()
        else []
    )
    beside = beside_digests([*listed, *near], root) if kind in ("object", "scene") else {}
    return [
        FileToRead(kind, path, root, beside.get(path.parent, ""))
        for path in listed
        if path.suffix.lower() in suffixes
    ]


def _material_files(place: Path) -> list[FileToRead]:
    """One for each material below a folder, called after its own folder where it is alone there."""
    if not place.is_dir():
        raise ConfigError(
            f"assets: {place} is no folder",
            consequence="its materials would silently be missing from the dataset",
            remedy="name the folder that holds a material's maps, or one above it (paths are relative to the "
            "YAML file)",
        )
    listed = [one.path for one in listed_files(place) if not one.ignored]
    beside = beside_digests(listed, place)
    sets = material_sets(listed)
    beneath = Counter(one.main.parent for one in sets)
    files = []
    for one in sets:
        folder = PurePosixPath(one.main.parent.relative_to(place))
        alone = beneath[one.main.parent] == 1 and folder.name
        name = folder.as_posix() if alone else (folder / (one.name or place.name)).as_posix()
        named = PurePosixPath(f"{name}{one.main.suffix}")
        files.append(FileToRead("material", one.main, place, beside.get(one.main.parent, ""), named))
    return files


def _companions(path: Path) -> tuple[str, ...]:
    try:
        return companions(path)
    except OSError as error:
        raise FileUnreadable.of(path, error) from error


def _sanitised(relative: PurePosixPath) -> str:
    # 60 characters leave room for the collision hash, and a report can show them.
    text = relative.with_suffix("").as_posix().lower()
    return re.sub(r"[^a-z0-9_]+", "-", text).strip("-")[:60] or "asset"


def _pins(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / PIN_FILE
    if not path.is_file():
        return {}
    pins = _load_yaml(path)
    for asset_id, pin in pins.items():
        problem = _pin_problem(pin)
        if problem:
            raise CatalogueError(
                f"{path}: entry {asset_id!r} {problem}",
                consequence="the asset's split or licence would not be what the file says",
                remedy=f"write e.g. `{asset_id}: {{split: test, licence: CC-BY-4.0, author: Jo Smith}}`",
            )
    return pins


def _front(pin: dict[str, Any]) -> float | None:
    """As the pin states it; a person from a file looks along -y, as Blender's characters and glTF's do."""
    if "front" not in pin:
        return _FRONT_OF_PEOPLE if HUMAN in pin.get("tags", ()) else None
    return float(pin["front"])


def _pin_problem(pin: Any) -> str | None:
    if not isinstance(pin, dict):
        return "is not a mapping"
    unknown = sorted(set(pin) - _PIN_KEYS)
    if unknown:
        return f"has the unknown key {unknown[0]!r}"
    if "split" in pin and pin["split"] not in SPLITS:
        return f"names the split {pin['split']!r}, which is none of {', '.join(SPLITS)}"
    if pin.get("up", "y") not in get_args(UpAxis):
        return f"gives 'up' the value {pin['up']!r}, which is none of {', '.join(get_args(UpAxis))}"
    size_m = pin.get("size_m", 1.0)
    if isinstance(size_m, bool) or not isinstance(size_m, int | float) or not 0 < size_m < math.inf:
        return f"gives 'size_m' the value {size_m!r}, which is no length in metres"
    tags = pin.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        return "gives 'tags' a value that is not a list of words"
    height_m = pin.get("camera_height_m", 1.0)
    if isinstance(height_m, bool) or not isinstance(height_m, int | float) or not 0 < height_m < 1000:
        return "gives 'camera_height_m' a value that is not a number of metres above 0"
    front = pin.get("front", 0)
    if isinstance(front, bool) or not isinstance(front, int | float) or not abs(front) <= 360:
        return f"gives 'front' the value {front!r}, which is no angle in degrees within [-360, 360]"
    numbers = ("size_m", "camera_height_m", "front")
    texts = {key: value for key, value in pin.items() if key != "tags" and key not in numbers}
    wrong = sorted(key for key, value in texts.items() if not isinstance(value, str))
    return f"gives {wrong[0]!r} a value that is not text" if wrong else None


def _load_yaml(path: Path) -> dict[str, Any]:
    try:
        loaded = read_document(path).value
    except ConfigError as error:
        if isinstance(error.__cause__, OSError):
            raise FileUnreadable.of(path, error.__cause__) from error
        raise CatalogueError(
            error.cause,
            consequence="the assets beside it have no split or licence",
            remedy="correct the YAML",
        ) from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise CatalogueError(
            f"{path} is not a mapping of asset ids",
            consequence="the assets beside it have no split or licence",
            remedy="write one `id: {split: ..., licence: ...}` per asset",
        )
    return loaded
