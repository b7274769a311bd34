"""Which files of a folder are assets, when all that is known is the folder.

Objects bring pictures along: one that an object's file names, or that lies in a folder of textures, is no
photograph and no lighting.
"""

import re
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from pairbridge.datagen.assets.catalogue import Asset, AssetsConfig
from pairbridge.datagen.assets.sources import user_assets

# Files that name their pictures in plain bytes.
_DESCRIPTIONS = frozenset({".gltf", ".mtl", ".fbx", ".usd", ".usda", ".usdc", ".blend"})
_ENDING = re.compile(rb"\.(?:png|jpe?g|webp|exr|hdr)", re.IGNORECASE)
# What cannot be in a file's name, or stands around one: separators, quotes, USD's @, bytes of a binary file.
_AROUND = re.compile(rb"[\x00-\x1f\"<>|:*?/\\\\@]")
_LONGEST_NAME = 200
_TEXTURE_FOLDERS = frozenset({"textures", "texture", "tex", "maps"})
# Of each description; a mesh may follow, but the names come early or the file is small.
_READ_BYTES = 64 << 20

_KIND_FOLDERS = ("objects", "hdris", "photos")


def folder_config(folder: Path) -> AssetsConfig:
    """The folder's `objects`, `hdris` and `photos` where it has any of them, else all kinds all over it."""
    parts = {kind: folder / kind for kind in _KIND_FOLDERS if (folder / kind).is_dir()}
    roots = parts or dict.fromkeys(_KIND_FOLDERS, folder)
    return AssetsConfig(embedded=False, **{kind: (root,) for kind, root in roots.items()})


def folder_assets(config: AssetsConfig) -> list[Asset]:
    """The assets of the config's folders without the textures of objects, sorted by kind and id.

    Raises ConfigError for a missing folder, CatalogueError for a catalogue.yaml that does not fit.
    """
    names = {root: _TextureNames(root) for root in (*config.objects, *config.hdris, *config.photos)}
    kept = [
        asset
        for asset in user_assets(config, frozenset())
        if asset.kind == "object" or not any(known.has(asset.path) for known in names.values())
    ]
    order = ("object", "hdri", "photo")
    return sorted(kept, key=lambda asset: (order.index(asset.kind), asset.id))


class _TextureNames:
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
        for path in sorted(self._root.rglob("*")):
            if path.suffix.lower() in _DESCRIPTIONS and path.is_file():
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
