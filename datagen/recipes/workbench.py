"""What a recipe works with: Blender, lightings, photographs, matting and relighter, opened on first use.

One workbench belongs to one worker. It holds no state that can change a pair: whatever it caches is a
function of files that the catalogue has hashed.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pairbridge.datagen.assets.catalogue import Catalogue
from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.assets.object_rules import AddonConfig, ObjectRules
from pairbridge.datagen.assets.photographs import PhotoRules, read_photograph
from pairbridge.datagen.blender.client import BlenderClient, ProcessLimits
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.imaging.view import ViewTransform
from pairbridge.datagen.lighting.equirect import Environment, lighting_copy, load_environment
from pairbridge.datagen.models.matting import MattingConfig, MattingModel, cut_out, open_matting_model
from pairbridge.datagen.models.relighting import Relighter, RelighterConfig, open_relighter
from pairbridge.datagen.models.weights.weights_in_use import Sums, WeightsInUse

# Files of turned lightings, a third of a MiB each as a rule: more than a group asks for at a time.
LIGHTING_COPIES = 16

# Room for a few 4k HDRIs; one larger than this is still held while it is in use.
ENVIRONMENT_CACHE_BYTES = 512 * 2**20


def no_phase(name: str) -> None:
    """Reports nothing: for callers that do not follow progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkbenchSettings:
    """What of a dataset's config a workbench needs; `dataset` and `seed` are stated in every sample."""

    dataset: str
    seed: int
    render: RenderSettings
    view: ViewTransform
    limits: ProcessLimits
    photo_rules: PhotoRules
    object_rules: ObjectRules
    addons: tuple[AddonConfig, ...]
    object_folders: tuple[Path, ...]


class Workbench:
    """A context manager; `close` ends Blender's process and is safe to call twice.

    `scratch_dir` must be private to this workbench (it is created), `threads` is what Blender may use,
    Blender's own output goes to `log_path`, `weights` are those that the run began with, and `phase` is told
    what goes on: "load", "render", "compose", "encode".
    """

    def __init__(
        self,
        settings: WorkbenchSettings,
        catalogue: Catalogue,
        *,
        scratch_dir: Path,
        threads: int,
        log_path: Path,
        phase: Callable[[str], None] = no_phase,
        weights: Sums | None = None,
    ) -> None:
        self._weights = WeightsInUse(weights)
        self.settings = settings
        self.catalogue = catalogue
        self.scratch_dir = scratch_dir
        self.threads = threads
        self.log_path = log_path
        self.phase = phase
        self._lighting_copies: OrderedDict[Path, None] = OrderedDict()
        self._environments: OrderedDict[tuple[str, bool], Environment] = OrderedDict()
        self._blender: BlenderClient | None = None
        self._converted_from: dict[str, str] = {}
        self._matting_models: dict[MattingConfig, MattingModel] = {}
        self._relighters: dict[RelighterConfig, Relighter] = {}
        scratch_dir.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Workbench":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End Blender's process, if one was started."""
        if self._blender is not None:
            self._blender.close()
            self._blender = None

    def forget_files(self) -> None:
        """Drop what was read of files, Blender's process included: the next pair reads them again."""
        self.close()
        self._environments.clear()
        self._converted_from.clear()
        self.__dict__.pop("cutouts", None)
        while self._lighting_copies:
            self._lighting_copies.popitem()[0].unlink(missing_ok=True)

    @property
    def view(self) -> ViewTransform:
        return self.settings.view

    @property
    def blender(self) -> BlenderClient:
        """The workbench's Blender; its process starts with the first request."""
        if self._blender is None:
            self._blender = open_blender(
                self.settings, scratch_dir=self.scratch_dir, log_path=self.log_path, threads=self.threads
            )
        return self._blender

    def matting_model(self, config: MattingConfig) -> MattingModel:
        """The matting model of these settings, opened once: a model stays loaded from group to group."""
        if config not in self._matting_models:
            self._matting_models[config] = self._weights.opened(config, open_matting_model)
        return self._matting_models[config]

    def relighter(self, config: RelighterConfig) -> Relighter:
        """The relighter of these settings; of learned ones the last that was asked for stays open.

        A second pair of networks would double what a worker takes of a GPU; recipes follow each other, so
        they are seldom exchanged.
        """
        if config not in self._relighters:
            # Let go first: both at once may not fit.
            self._relighters = {held: tool for held, tool in self._relighters.items() if tool.is_stand_in}
            self._relighters[config] = self._weights.opened(config, open_relighter)
        return self._relighters[config]

    @cached_property
    def cutouts(self) -> "Cutouts":
        """The foregrounds of photographs, each cut out once."""
        return Cutouts(self.photo, self.matting_model)

    def environment(self, asset_id: str, *, mirrored: bool = False) -> Environment:
        """The full lighting, on wish mirrored left to right, from a bounded cache.

        Raises AssetError if its file is broken.
        """
        key = (asset_id, mirrored)
        if key in self._environments:
            self._environments.move_to_end(key)
            return self._environments[key]
        environment = load_environment(self.catalogue.get(asset_id).path)
        if mirrored:
            environment = Environment(np.ascontiguousarray(environment.pixels[:, ::-1]))
        self._environments[key] = environment
        while (
            len(self._environments) > 1
            and sum(held.num_bytes for held in self._environments.values()) > ENVIRONMENT_CACHE_BYTES
        ):
            self._environments.popitem(last=False)
        return environment

    def lighting_copy(self, asset_id: str, rotation_rad: float, *, mirrored: bool = False) -> Path:
        """The small turned copy of a lighting that Blender lights the loaded scene with.

        It is wider where the scene holds smooth metal or glass: see `RenderSettings.lighting_copy_width_for`.
        So ask for it after the scene is loaded. The file stays until LIGHTING_COPIES others were asked for.
        """
        width = self.settings.render.lighting_copy_width_for(self.blender.smoothest)
        mark = "-mirrored" if mirrored else ""
        path = self.scratch_dir / f"lighting-{asset_id}-{width}-{rotation_rad!r}{mark}.exr"
        if path in self._lighting_copies:
            self._lighting_copies.move_to_end(path)
            return path
        environment = self.environment(asset_id, mirrored=mirrored)
        write_exr(path, lighting_copy(environment, width, rotation_rad), compressed=False)
        self._lighting_copies[path] = None
        if len(self._lighting_copies) > LIGHTING_COPIES:
            self._lighting_copies.popitem(last=False)[0].unlink()
        return path

    @cached_property
    def uniform_light(self) -> Path:
        """A lighting of radiance 1 from everywhere, written once per workbench."""
        path = self.scratch_dir / "lighting-of-one-radiance.exr"
        write_exr(path, np.ones((8, 16, 3), np.float32))
        return path

    def photo(self, asset_id: str) -> np.ndarray:
        """A photograph as uint8 RGB (H, W, 3), turned as its EXIF says. Raises AssetError if it is broken, or
        not what `assets.photo_rules` ask for.
        """
        photograph = read_photograph(self.catalogue.get(asset_id).path, self.settings.photo_rules)
        self._converted_from[asset_id] = photograph.converted_from or ""
        return photograph.pixels

    def converted_from(self, asset_id: str) -> str:
        """The colours that a photograph was converted to sRGB from; "" where it was sRGB, and for all
        else."""
        if self.catalogue.get(asset_id).kind != "photo":
            return ""
        if asset_id not in self._converted_from:
            self.photo(asset_id)
        return self._converted_from[asset_id]


def open_blender(
    settings: WorkbenchSettings, *, scratch_dir: Path, log_path: Path, threads: int
) -> BlenderClient:
    """A client with the dataset's render settings and limits; it starts no process yet."""
    scratch_dir.mkdir(parents=True, exist_ok=True)
    return BlenderClient(
        settings.render,
        scratch_dir=scratch_dir,
        log_path=log_path,
        threads=threads,
        limits=settings.limits,
        object_rules=settings.object_rules,
        addons=settings.addons,
        object_folders=settings.object_folders,
    )


# Alphas are 8 bit, so this holds about ten photographs of 24 megapixels or a thousand small ones.
CACHE_BYTES = 256 * 2**20


class Cutouts:
    """Alphas by photograph and matting, least recently used dropped first. A cache of pure results: cutting
    out takes seconds, and one photograph serves many groups.
    """

    def __init__(
        self, photo: Callable[[str], np.ndarray], matting: Callable[[MattingConfig], MattingModel]
    ) -> None:
        self._photo = photo
        self._matting = matting
        self._held: OrderedDict[tuple[str, MattingConfig], np.ndarray | Rejected] = OrderedDict()

    def alpha(self, asset_id: str, config: MattingConfig) -> np.ndarray:
        """Foreground alpha of a photograph, uint8 (H, W) of its full size.

        Raises Rejected if it has no foreground (also remembered), AssetError if its file is broken.
        """
        key = (asset_id, config)
        if key not in self._held:
            self._held[key] = self._cut(asset_id, config)
            while len(self._held) > 1 and sum(map(_num_bytes, self._held.values())) > CACHE_BYTES:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        found = self._held[key]
        if isinstance(found, Rejected):
            raise found
        return found

    def _cut(self, asset_id: str, config: MattingConfig) -> np.ndarray | Rejected:
        try:
            return cut_out(self._matting(config), self._photo(asset_id))
        except Rejected as refused:
            return Rejected(
                f"photograph {asset_id}: {refused.cause}",
                consequence=refused.consequence,
                remedy=refused.remedy,
                gate=refused.gate,
            )


def _num_bytes(found: np.ndarray | Rejected) -> int:
    return found.nbytes if isinstance(found, np.ndarray) else 0
