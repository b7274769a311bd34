"""Folders of PBR textures as ambientCG, Poly Haven and BlenderKit pack them: which file is which map.

A map is told by the end of its name, whatever its case: `Bricks075A_1K-JPG_NormalGL.jpg`,
`oak_rough_2k.exr`, `Base Color.png`. Pictures of one folder whose names agree up to there are one material;
of several resolutions each is one of its own. A picture of any other name is no map and is left alone.

No picture is read here, so that Blender's process needs no decoder for it; see
`pairbridge.datagen.assets.material_files`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

MapRole = Literal[
    *("albedo", "roughness", "gloss", "normal", "normal_dx", "displacement"),
    *("ao", "metalness", "opacity", "arm"),
]

# The cheapest to read first: of one map in several formats the first is taken.
MATERIAL_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".exr")
# What names end in, without separators. `arm` is occlusion, roughness and metalness in one picture.
_ENDINGS: dict[MapRole, str] = {
    "albedo": "albedo alb diffuse diff color colour col basecolor basecolour base",
    "roughness": "roughness rough rgh",
    "gloss": "gloss glossiness smoothness",
    "normal": "normal normals nor nrm norm normalgl norgl nrmgl normalopengl noropengl normalogl",
    "normal_dx": "normaldx nordx nrmdx normaldirectx nordirectx",
    "displacement": "displacement disp height heightmap bump",
    "ao": "ao ambientocclusion occlusion",
    "metalness": "metalness metallic metal",
    "opacity": "opacity alpha mask transparency",
    "arm": "arm orm occlusionroughnessmetallic",
}
_ROLES: dict[str, MapRole] = {ending: role for role, words in _ENDINGS.items() for ending in words.split()}
# Words that may follow: how large the picture is and how it is kept.
_MARK = re.compile(r"(?:\d{1,2}k|256|512|1024|2048|4096|8192|16384|jpe?g|png|exr|tiff?|8bit|16bit)\Z")
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class MaterialSet:
    """The maps of one material. `main` stands for it in a catalogue: its albedo, or its first map where it
    has none; `name` is what the names of its maps have in common, empty where they have nothing."""

    main: Path
    name: str
    maps: dict[MapRole, Path]


def material_sets(files: Iterable[Path]) -> list[MaterialSet]:
    """The materials among `files`, by their main files; each is in one folder."""
    named: defaultdict[tuple[Path, str], list[tuple[MapRole, str, Path]]] = defaultdict(list)
    for path in files:
        found = _read_name(path)
        if found is not None:
            name, role, marks = found
            named[path.parent, name].append((role, marks, path))
    sets = [one for (_, name), maps in named.items() for one in _sets_of(name, maps)]
    return sorted(sets, key=lambda one: one.main)


def material_maps(main: Path) -> dict[MapRole, Path]:
    """The maps of the material that `main` stands for. Raises OSError where its folder cannot be listed."""
    sets = material_sets(sorted(main.parent.iterdir()))
    return next((one.maps for one in sets if one.main == main), {})


def material_companions(main: Path) -> tuple[str, ...]:
    """The names, sorted, of a material's maps beside its main file. Raises OSError."""
    return tuple(sorted(path.name for path in material_maps(main).values() if path != main))


def _sets_of(name: str, maps: list[tuple[MapRole, str, Path]]) -> list[MaterialSet]:
    """One for each resolution that has an albedo, and one for each other where there is more than one."""
    variants = sorted({marks for role, marks, _ in maps if role == "albedo"})
    if len(variants) < 2:
        return [_set(name, [(role, path) for role, _, path in maps])]
    by_marks: defaultdict[str, list[tuple[MapRole, Path]]] = defaultdict(list)
    for role, marks, path in maps:
        by_marks[marks].append((role, path))
    return [_set(f"{name}_{marks}" if name else marks, found) for marks, found in sorted(by_marks.items())]


def _set(name: str, found: list[tuple[MapRole, Path]]) -> MaterialSet:
    maps: dict[MapRole, Path] = {}
    for role in get_args(MapRole):
        paths = [path for its, path in found if its == role]
        if paths:
            maps[role] = min(paths, key=lambda path: (MATERIAL_SUFFIXES.index(path.suffix.lower()), path))
    return MaterialSet(maps.get("albedo", min(maps.values())), name, maps)


def _read_name(path: Path) -> tuple[str, MapRole, str] | None:
    """(name before the map's word, role, marks after it), None for a picture that is no map."""
    if path.suffix.lower() not in MATERIAL_SUFFIXES:
        return None
    words = _WORD.findall(path.stem.lower())
    marks: list[str] = []
    while words and _MARK.match(words[-1]):
        marks.insert(0, words.pop())
    for count in (3, 2, 1):
        role = _ROLES.get("".join(words[-count:])) if len(words) >= count else None
        if role is not None:
            return "_".join(words[:-count]), role, "_".join(marks)
    return None
