"""The pictures in a folder that belong to objects: named by an object's file, or in a folder of textures."""

import re
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from pairbridge.datagen.assets.catalogue import AssetsConfig
from pairbridge.datagen.sourcing.folder_listing import listed_files

# Files that name their pictures in plain bytes.
_DESCRIPTIONS = frozenset({".gltf", ".mtl", ".fbx", ".usd", ".usda", ".usdc", ".blend"})
_ENDING = re.compile(rb"\.(?:png|jpe?g|jfif|webp|exr|hdr|tga|tiff?|bmp)", re.IGNORECASE)
# What cannot be in a file's name, or stands around one: separators, quotes, USD's @, bytes of a binary file.
_AROUND = re.compile(rb"[\x00-\x1f\"<>|:*?/\\\\@]")
_LONGEST_NAME = 200
_TEXTURE_FOLDERS = frozenset({"textures", "texture", "tex", "maps"})
# Of each description; a mesh may follow, but the names come early or the file is small.
_READ_BYTES = 64 << 20


def textures_of(config: AssetsConfig) -> list["TextureNames"]:
    """One for each folder of a config."""
    return [TextureNames(root) for root in dict.fromkeys((*config.objects, *config.hdris, *config.photos))]


class TextureNames:
    """The pictures under one root that belong to objects."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def has(self, picture: Path) -> bool:
        if not picture.is_relative_to(self._root):
            return False
        inside = picture.relative_to(self._root).parent
        if any(part.lower() in _TEXTURE_FOLDERS for part in inside.parts):
            return True
        above = [self._root / inside, *(self._root / part for part in inside.parents)]
        return any(picture.name in self._named.get(folder, ()) for folder in above)

    @cached_property
    def _named(self) -> dict[Path, set[str]]:
        """Folder -> the names of pictures in the object files that lie in it."""
        named: dict[Path, set[str]] = {}
        for path in (listed.path for listed in listed_files(self._root) if not listed.ignored):
            if path.suffix.lower() in _DESCRIPTIONS:
                with open(path, "rb") as stream:
                    data = stream.read(_READ_BYTES)
                named.setdefault(path.parent, set()).update(_pictures(data))
        return named


def _pictures(data: bytes) -> set[str]:
    """The names of pictures in an object's file, and a few strings beside."""
    names = set()
    # The ending first, and only then what stands before it: linear in the data, whatever it is.
    for match in _ENDING.finditer(data):
        name = _AROUND.split(data[max(0, match.start() - _LONGEST_NAME) : match.end()])[-1]
        # "map_Kd old wood.png" may mean "old wood.png" or "wood.png".
        words = unquote(name.decode("utf-8", "replace")).split(" ")
        names.update(" ".join(words[start:]) for start in range(len(words)))
    return names
