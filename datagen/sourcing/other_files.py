"""Files that are no assets, by their true names: what to know of each in a folder of downloads."""

from dataclasses import dataclass
from pathlib import Path

from pairbridge.datagen.assets.material_maps import MATERIAL_SUFFIXES
from pairbridge.datagen.assets.signatures import SIGNATURE_BYTES, content_of

_METADATA = (".json", ".json.gz", ".yaml", ".yml", ".xml", ".csv", ".tsv", ".parquet")
_DOCUMENTS = (".txt", ".md", ".rst", ".pdf", ".html", ".htm", ".rtf", ".url", ".webloc", ".log", ".py", ".sh")
_ACCEPTED = {
    "photo": "photographs are JPEG, PNG or WebP",
    "hdri": "environment maps are .exr or .hdr",
    "material": "the maps of a material are .jpg, .png, .tif or .exr",
    "scene": "rooms are .blend, .glb or .gltf",
    "object": "objects are glb, gltf, obj, fbx, ply, stl, usd or blend",
}

# What signatures say of pictures: nobody means them to be objects.
_PICTURES = frozenset(
    {"a PNG", "a JPEG", "a GIF", "a WebP", "an AVIF", "a HEIC", "a JPEG 2000", "a BMP"}
    | {"a Photoshop document", "a TIFF, or a camera's raw file"}
)


@dataclass(frozen=True, slots=True)
class OtherFile:
    """`refused`: someone may have meant it to be an asset; else nobody would."""

    refused: bool
    reason: str


def other_file(path: Path, *kinds: str) -> OtherFile:
    """What the file at `path` is, which is no asset of the `kinds` that its folder is looked through for."""
    name = path.name.lower()
    if name.endswith(_METADATA):
        return OtherFile(False, "metadata: licences, authors and pins are read from such files")
    if name.endswith(_DOCUMENTS) or (not path.suffix and name.startswith(("license", "licence", "readme"))):
        return OtherFile(False, "a document")
    if kinds == ("material",) and path.suffix.lower() in MATERIAL_SUFFIXES:
        # Previews and maps that nothing here needs, as specular ones.
        return OtherFile(False, "its name ends in no map that a material here has")
    try:
        with open(path, "rb") as stream:
            found = content_of(stream.read(SIGNATURE_BYTES))
    except OSError as error:
        return OtherFile(True, f"it cannot be read: {error.strerror}")
    suffix = f"it has the suffix {path.suffix}" if path.suffix else "it has no suffix"
    what = f"it is {found}, and {suffix}" if found else suffix
    meant = [kind for kind in kinds if kind in ("photo", "material")] if found in _PICTURES else kinds
    return OtherFile(True, "; ".join([what, *(_ACCEPTED[kind] for kind in meant or kinds)]))
