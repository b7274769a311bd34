"""Which assets are one and the same, whatever they are called: they belong to one split.

Together belong files with equal bytes, photographs and materials that show the same picture (mirrored ones
too), environment maps of one scene at any size and exposure, and files whose names differ only by size, level
of detail, version or copy. What belongs together is a content group; its split is drawn from the group's
name.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple, Protocol

from pairbridge.datagen.sourcing.fingerprints import near_maps, near_photos

# What the last words of a name say when they tell copies of one thing apart. A bare number is a size only if
# pictures are made in it: other numbers count things.
_SIZES = (
    r"\d{1,4}k|\d+px|\d+x\d+|\d{1,2}x|\d{3,4}p|64|128|256|512|1024|2048|4096|8192|16384"
    r"|320|480|640|720|800|1080|1200|1280|1440|1600|1920|2160|2560|3840|4320|7680"
)
_VERSIONS = (
    r"v\d+|ver\d+|version\d*|rev\d+|r\d{1,2}|copy\d*|kopie|copie|copia|original|orig|edit|edited|final|backup"
)
_DETAIL = (
    r"lod\d*|low|mid|high|poly|lowpoly|midpoly|highpoly|res|lowres|midres|highres|hires|sd|hd|uhd|tiny|small"
    r"|medium|large|big|full|thumb|thumbnail|preview|resized|scaled|reduced|simplified|decimated|optimized|compressed"
    r"|draco"
)
_FORMATS = r"gltf|glb|obj|fbx|usd|usda|usdc|usdz|blend|ply|stl|exr|hdr|hdri|jpg|jpeg|png|webp|tif|tiff"
_MARK = re.compile(rf"(?:{_SIZES}|{_VERSIONS}|{_DETAIL}|{_FORMATS})\Z")
_GLUED = re.compile(r"(?<=[^\W_])lod(?=\d+\b)|(?<=\D)(?=\d{1,2}k\b)")
# Words that a number may follow: `lod 1`, `copy 2`, `version 3`, `v 1.2`.
_NUMBERED = re.compile(r"(?:lod|v|ver|version|rev|copy|kopie)\d*\Z")
_NUMBER = re.compile(r"\d{1,3}\Z")
_COUNTED = re.compile(r"^(?P<name>.*\S)\s*\(\d{1,3}\)$")
_WORD = re.compile(r"[^\W_]+")
_HAVEN = re.compile(r"polyhaven\.com/a/(\w+)")

_NAMES = "their names differ only in size, detail or version"
# No name has a space in it.
_ID = "id "


class Comparable(Protocol):
    """An asset, or a dataset's record of one."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def split(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...


class Link(NamedTuple):
    """Two assets, by index, that belong together, and why."""

    first: int
    second: int
    why: str


@dataclass(frozen=True, slots=True)
class ContentGroup:
    """The indices of what belongs together, ascending, and what says so."""

    members: tuple[int, ...]
    whys: tuple[str, ...]


def common_name(relative: PurePosixPath, names_beside: frozenset[str] = frozenset()) -> str:
    """What a file's path says of the thing, without size, level of detail, version and copy.

    `names_beside` are the stems of the files in its folder: `cat (1)` is a copy only where `cat` is, since
    whoever renames many files at once numbers different things like that.
    """
    stem = relative.name[: -len(relative.suffix)] if relative.suffix else relative.name
    counted = _COUNTED.match(stem)
    if counted and counted["name"].lower() in names_beside:
        stem = counted["name"]
    parts: list[str] = []
    for part in (*relative.parent.parts, stem):
        whole = _WORD.findall(_GLUED.sub(" \\g<0>", part.lower()))
        whole = whole[2:] if whole[:2] == ["copy", "of"] else whole
        words = _without_marks(whole)
        name = "-".join(words)
        if part is stem and not words:
            name = "-".join(whole) or "asset"
        # Archives unpack into a folder of the file's own name.
        if name and name not in parts[-1:]:
            parts.append(name)
    return "/".join(parts)


def haven_name(source: str) -> str | None:
    """The name at Poly Haven of what was fetched there: the embedded maps go by other names."""
    found = _HAVEN.search(source)
    return "-".join(_WORD.findall(found[1].lower().replace("_", " "))) if found else None


def _without_marks(words: list[str]) -> list[str]:
    words = list(words)
    while words:
        numbers = 0
        while numbers < len(words) and _NUMBER.match(words[-1 - numbers]):
            numbers += 1
        if 0 < numbers < len(words) and _NUMBERED.match(words[-1 - numbers]):
            del words[-1 - numbers :]
        elif _MARK.match(words[-1]):
            words.pop()
        else:
            break
    return words


def content_groups(assets: Sequence[Comparable], names: Sequence[Iterable[str]]) -> list[ContentGroup]:
    """Every group, singles included, by their first members; assets of one of the `names` belong together."""
    root = list(range(len(assets)))

    def root_of(index: int) -> int:
        while root[index] != index:
            root[index] = root[root[index]]
            index = root[index]
        return index

    links = list(_links(assets, names))
    for link in links:
        first, second = sorted((root_of(link.first), root_of(link.second)))
        root[second] = first
    members: defaultdict[int, list[int]] = defaultdict(list)
    for index in range(len(assets)):
        members[root_of(index)].append(index)
    whys: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for link in links:
        whys[root_of(link.first)][link.why] += 1
    return [ContentGroup(tuple(found), tuple(whys[first])) for first, found in members.items()]


def leaks(assets: Sequence[Comparable]) -> list[tuple[int, int, str]]:
    """One pair of indices, and why they belong together, for each content group that is in several splits.

    Assets of one id count as one: of merged datasets there may be several.
    """
    names = [{_ID + asset.id} | ({asset.group} if asset.group else set()) for asset in assets]
    found = []
    for group in content_groups(assets, names):
        first = group.members[0]
        other = next((i for i in group.members if assets[i].split != assets[first].split), None)
        if other is not None:
            found.append((first, other, " and ".join(group.whys)))
    return found


def _links(assets: Sequence[Comparable], names: Sequence[Iterable[str]]) -> Iterator[Link]:
    first_of: dict[tuple[str, str], int] = {}
    for index, asset in enumerate(assets):
        for name in sorted(names[index]):
            first = first_of.setdefault((asset.kind, name), index)
            if first != index:
                one_id = name.startswith(_ID)
                yield Link(first, index, "they have one id" if one_id else _NAMES)
        # All families share one code, and its hash.
        if asset.kind != "family" and asset.sha256:
            first = first_of.setdefault(("sha256", asset.sha256), index)
            if first != index:
                yield Link(first, index, "their bytes are equal")
    for kind, near, why in (
        ("photo", near_photos, "they show the same picture"),
        ("material", near_photos, "their albedos are one picture"),
        ("hdri", near_maps, "they are environment maps of one scene"),
    ):
        known = [index for index, asset in enumerate(assets) if asset.kind == kind and asset.fingerprint]
        for first, second in near([assets[index].fingerprint for index in known]):
            if first != second:
                yield Link(known[first], known[second], why)
