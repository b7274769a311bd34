"""What there is to make pairs from: objects, lightings and photographs, each with licence, hash and split.

Every asset belongs to exactly one split, with all that it is one and the same with under other names
(`pairbridge.datagen.sourcing`). The embedded ones are pinned by `blender_assets/catalogue.yaml`; a file of
yours is placed by the hash of its group's name, unless a `catalogue.yaml` in its folder pins it:

    red-chair: {split: test, licence: CC-BY-4.0, author: Jo Smith, source: https://example.org/red-chair}
    "*": {tags: [human], licence: CC0-1.0}      # for every file that says nothing else
    scan-3: {up: z}                             # the axis that is up in an object's file
    lamp: {front: -90}                          # where its front looks, in degrees about +z; 0 is +x
    quarry: {camera_height_m: 1.2}              # of an environment map's camera, above the ground
    sofa: {size_m: 2.1}                         # the longest side of an object, in metres
    oak: {size_m: 1.2}                          # the width of a material's picture, in metres

Where no catalogue.yaml states a licence or an author, `pairbridge.datagen.sourcing.credits` looks for what
downloads carry.

Files are read once, and one that cannot be used is left out of what plans draw from. What only Blender can
tell costs the groups that use the file, which go to quarantine.
"""

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator

from pairbridge.datagen.assets.object_rules import AddonConfig, ObjectRules, UpAxis
from pairbridge.datagen.assets.photographs import PhotoRules
from pairbridge.datagen.core.errors import CatalogueError
from pairbridge.datagen.core.extras import install_command, lacking
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.json_digest import digest
from pairbridge.datagen.core.splits import SPLITS, Split

AssetKind = Literal["family", "object", "hdri", "photo", "material", "scene"]
LightingKind = Literal["hdri", "sky", "rig", "blend", "outdoor", "interior"]

LIGHTING_KINDS: tuple[LightingKind, ...] = get_args(LightingKind)
UNSPECIFIED = "unspecified"
# The tag that makes an asset a person.
HUMAN = "human"
# The fault of a file that its folder's catalogue.yaml gives a reason to leave out.
EXCLUDED = "excluded"

_ID_PATTERN = re.compile(r"[a-z0-9_-]+\Z")


# One folder or file may be given as it is, without a list around it.
Folders = Annotated[
    tuple[Path, ...],
    BeforeValidator(
        lambda given: (given,) if isinstance(given, str) else given,
        json_schema_input_type=str | tuple[Path, ...],
    ),
]


class AssetsConfig(FrozenModel):
    """Which assets a dataset draws from. Folders are absolute once a YAML file was loaded."""

    embedded: bool = True
    """Use the assets that come with the package."""
    objects: Folders = ()
    """Folders of objects, or single files: glb, gltf, obj, fbx, ply, stl, usd, usda, usdc, usdz, blend."""
    hdris: Folders = ()
    """Folders of environment maps (HDRIs), or single files: equirectangular .exr and .hdr files."""
    photos: Folders = ()
    """Folders of photographs, or single files: .jpg (.jpeg, .jpe, .jfif), .png, .webp."""
    materials: Folders = ()
    """Folders of materials (PBR textures), each in a folder of its own or with a name of its own: .jpg, .png,
    .tif and .exr files whose names end in what they are, as `_Color` or `_rough_2k`."""
    families: tuple[str, ...] | None = None
    """Procedural families to use; null means all embedded ones."""
    photo_rules: PhotoRules = PhotoRules()
    """Limits on photographs; one that breaks a limit costs its own groups, by name."""
    object_rules: ObjectRules = ObjectRules()
    """Limits on objects from files; one that breaks a limit costs its own groups, by name."""
    addons: tuple[AddonConfig, ...] = ()
    """Blender add-ons that read file formats of their own."""
    scenes: Folders = ()
    """Folders of rooms, or single files: .blend, .glb, .gltf. Objects are put on their upward surfaces, or at
    empties whose names begin with `place`."""

    @property
    def folders(self) -> dict[AssetKind, Folders]:
        """The user's folders, by the kind of asset that is looked for in them."""
        return {
            "object": self.objects,
            "hdri": self.hdris,
            "photo": self.photos,
            "material": self.materials,
            "scene": self.scenes,
        }

    @property
    def read_by_blender(self) -> Folders:
        """The user's folders of which Blender's process reads files."""
        return (*self.objects, *self.materials, *self.scenes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One entry of the catalogue.

    A family stands for all of its objects; one object is written `chair:123456` (family and seed), and its
    sha256 is that of its name and of the code that builds the families. `path` is set for everything else.
    `beside` is the number and one digest of the files that an object's file refers to (materials, buffers,
    textures), or of the other maps of a material, whose `path` is its albedo; empty where there are none.
    `lighting` says what kind of light an `hdri` asset holds: a captured one, or one baked for the dataset.
    `tags` are the catalogue's; of them HUMAN has a meaning here. `up` is the axis that is up in an object's
    file, None where the file itself states it. `size_m` is the length of an object's longest side, or the
    width of what a material's picture shows, in metres, None where no catalogue.yaml says it.
    `camera_height_m` is how far above the ground an environment map's camera was, None where nobody says.
    `front` is the azimuth in degrees that the front of an object or a family looks to as it stands (0 is +x,
    90 is +y), None where it has none or nobody said. `group` names
    what the asset is one and the same with, `fingerprint` says what a picture looks like
    (`pairbridge.datagen.sourcing`).
    """

    id: str
    kind: AssetKind
    split: Split
    licence: str
    author: str
    source: str
    sha256: str
    beside: str = ""
    path: Path | None = None
    family: str | None = None
    lighting: LightingKind | None = None
    tags: tuple[str, ...] = ()
    up: UpAxis | None = None
    front: float | None = None
    camera_height_m: float | None = None
    size_m: float | None = None
    group: str = ""
    fingerprint: str = ""

    def record(self) -> dict[str, Any]:
        """The entry as JSON, without its path: what a dataset states must not depend on where files lay."""
        kept = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "path"}
        return kept | {"tags": list(self.tags)}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file of the user's that is no asset: refused for a `fault`, or `excluded` by a catalogue.yaml."""

    id: str
    kind: AssetKind
    path: Path
    sha256: str
    fault: str
    reason: str

    @property
    def refused(self) -> bool:
        return self.fault != EXCLUDED

    def record(self) -> dict[str, str]:
        """As JSON, without its path."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "path"}


@dataclass(frozen=True)
class Catalogue:
    """All assets, sorted by id, and the user's files that are none. Raises CatalogueError if two assets share
    an id or one is malformed.
    """

    assets: tuple[Asset, ...]
    left_out: tuple[LeftOut, ...] = field(default=(), compare=False)
    _by_id: dict[str, Asset] = field(init=False, repr=False, compare=False)
    _by_kind: dict[tuple[str, str], tuple[Asset, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.assets, key=lambda asset: asset.id))
        by_id: dict[str, Asset] = {}
        by_kind: dict[tuple[str, str], list[Asset]] = {}
        for asset in ordered:
            if asset.id in by_id or not _ID_PATTERN.match(asset.id):
                raise CatalogueError(
                    f"asset id {asset.id!r} is used twice or is outside [a-z0-9_-]",
                    consequence="samples could not say which asset they were made from",
                    remedy="rename one of the two files or catalogue entries",
                )
            by_id[asset.id] = asset
            by_kind.setdefault((asset.kind, asset.split), []).append(asset)
            if asset.kind == "hdri":
                by_kind.setdefault((f"hdri/{asset.lighting}", asset.split), []).append(asset)
            for tag in asset.tags:
                by_kind.setdefault((f"{asset.kind}#{tag}", asset.split), []).append(asset)
        object.__setattr__(self, "assets", ordered)
        object.__setattr__(self, "_by_id", by_id)
        object.__setattr__(self, "_by_kind", {key: tuple(found) for key, found in by_kind.items()})

    def of(self, kind: AssetKind, split: Split) -> tuple[Asset, ...]:
        """The assets of one kind and split, sorted by id."""
        return self._by_kind.get((kind, split), ())

    def tagged(self, kind: AssetKind, split: Split, tag: str, *, tagged: bool) -> tuple[Asset, ...]:
        """Those of `of(kind, split)` that have the tag, or those that do not."""
        having = self._by_kind.get((f"{kind}#{tag}", split), ())
        if tagged:
            return having
        # The usual case costs nothing per group.
        return tuple(a for a in self.of(kind, split) if tag not in a.tags) if having else self.of(kind, split)

    def lightings(self, lighting: LightingKind, split: Split) -> tuple[Asset, ...]:
        """The lightings of one kind and split, sorted by id."""
        return self._by_kind.get((f"hdri/{lighting}", split), ())

    def get(self, asset_id: str) -> Asset:
        """The asset of this id; `chair:123456` gives the family. Raises CatalogueError if there is none."""
        found = self.find(asset_id)
        if found is None:
            raise CatalogueError(
                f"no asset is called {asset_id!r}",
                consequence="what refers to it cannot be made",
                remedy="run `pairbridge plan` on the dataset config; it lists the assets it finds",
            )
        return found

    def find(self, asset_id: str) -> Asset | None:
        """As `get`; None if there is none."""
        return self._by_id.get(asset_id.partition(":")[0])

    def require(self, kind: AssetKind, split: Split, recipe: str, at_least: int = 1) -> tuple[Asset, ...]:
        """`of(kind, split)`, or CatalogueError with the counts of every split if there are too few."""
        found = self.of(kind, split)
        if len(found) < at_least:
            raise self.too_few(kind, split, recipe, at_least)
        return found

    def require_lightings(
        self, lighting: LightingKind, split: Split, recipe: str, at_least: int = 1
    ) -> tuple[Asset, ...]:
        """`lightings(lighting, split)`, or CatalogueError with the counts if there are too few."""
        found = self.lightings(lighting, split)
        if len(found) < at_least:
            raise self.too_few(f"hdri/{lighting}", split, recipe, at_least)
        return found

    def too_few(self, kind: str, split: Split, recipe: str, at_least: int) -> CatalogueError:
        """The error for a split that lacks assets of `kind` (an asset kind, or `hdri/<lighting kind>`)."""
        counts = ", ".join(f"{name} {len(self._by_kind.get((kind, name), ()))}" for name in SPLITS)
        refused = [left.reason for left in self.left_out if left.refused and left.kind == kind.split("/")[0]]
        # bpy and scikit-image bring the embedded ones.
        extra = {"hdri": "render", "photo": "generate"}.get(kind.split("/")[0])
        embedded = f"; the embedded ones come by {install_command(extra)}" if extra and lacking(extra) else ""
        counts += f"; {len(refused)} refused, the first because {refused[0]}" if refused else ""
        return CatalogueError(
            f"recipe {recipe!r} needs at least {at_least} asset(s) of kind {kind} in split {split!r}; "
            f"the catalogue has: {counts}",
            consequence="its pairs could not be made without borrowing from another split, which would leak",
            remedy="add assets, bake more lightings, pin some in the folder's catalogue.yaml, or set the "
            f"recipe's groups for {split!r} to 0{embedded}",
        )

    @property
    def digest(self) -> str:
        """Hex digest of every entry, hashes included; independent of where the files lie. Fingerprints, whose
        last bit may depend on the processor, take no part."""
        return digest([asset.record() | {"fingerprint": ""} for asset in self.assets])
