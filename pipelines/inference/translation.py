"""Images through a trained model: what is given is brought into the form that the model was trained on.

A removal model gets its hole filled with seeded noise, a relighting model the foreground cut out and pasted
on the new background; everything else goes in as it is. Outputs are PNG, of the input's size.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from pairbridge.datagen.assets.photographs import decode_grey, decode_image
from pairbridge.datagen.core.errors import AssetError, ConfigError, PairbridgeError
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.imaging.pasting import estimate_foreground
from pairbridge.datagen.imports.import_manifest import ImportManifest, is_import
from pairbridge.datagen.models.matting import MattingConfig, cut_out, open_matting_model
from pairbridge.pipelines.pages.sheets import write_png
from pairbridge.training.bridge.samplers import Sampler
from pairbridge.training.bridge_training.translation_model import DEFAULT_SAMPLER, TranslationModel
from pairbridge.training.data.condition_specs import MASK
from pairbridge.training.data.framing import Frame, crop_and_resize
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.engine.checkpoint import CheckpointState, checkpoint_folders, read_state
from pairbridge.training.published.pipeline import fill_hole, is_published, load_published

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A model ready to translate. `removes`: its mask is a hole, which is filled with noise before."""

    model: TranslationModel
    removes: bool

    def translate(
        self,
        image: np.ndarray | str | Path,
        mask: np.ndarray | str | Path | None = None,
        *,
        conditions: Mapping[str, np.ndarray | str | Path] = MappingProxyType({}),
        steps: int = 1,
        seed: int = 0,
        sampler: Sampler = DEFAULT_SAMPLER,
        guidance: float = 1.0,
    ) -> np.ndarray:
        """`translate_image` of arrays as a Request holds them, or of image files.

        mask: 255 on the foreground, or on what is to be removed. conditions: by field, such as light.
        """
        request = Request(
            image=_given(image, read_image),
            mask=None if mask is None else _given(mask, read_mask),
            conditions={field: _given(one, read_image) for field, one in conditions.items()},
            steps=steps,
            seed=seed,
            sampler=sampler,
            guidance=guidance,
        )
        return translate_image(self, request)


@dataclass(frozen=True, slots=True)
class Request:
    """One translation. image: uint8 (H, W, 3); mask: uint8 (H, W); conditions: uint8 images by field.

    background: put behind the image's foreground, which is `mask` or else what `matting` finds.
    """

    image: np.ndarray
    mask: np.ndarray | None = None
    conditions: dict[str, np.ndarray] = field(default_factory=dict)
    background: np.ndarray | None = None
    matting: MattingConfig | None = None
    steps: int = 1
    seed: int = 0
    sampler: Sampler = DEFAULT_SAMPLER
    guidance: float = 1.0


def open_model(source: str | Path, device: str = "cpu") -> OpenedModel:
    """The model of a published folder, a checkpoint's, or the newest of a run's.

    Raises ConfigError where there is none or the device is not there, CheckpointError for a damaged one.
    """
    check_device(device)
    source = Path(source)
    if is_published(source):
        pipeline = load_published(source, device)
        return OpenedModel(pipeline.translation, removes=pipeline.config.bridge["removes"])
    checkpoint = newest_checkpoint(source)
    model = TranslationModel.load(checkpoint, device)
    return OpenedModel(model, removes=removes(read_state(checkpoint), run_of(checkpoint)))


def check_device(device: str) -> None:
    """Raises ConfigError where the device is not there."""
    if device == "cuda" and not _cuda_works():
        raise ConfigError(
            "--device cuda, and torch finds no GPU",
            consequence="nothing was translated",
            remedy="leave the option out, or see what `pairbridge doctor` says about the GPU",
        )


def translate_image(opened: OpenedModel, request: Request) -> np.ndarray:
    """The translation, uint8 (H, W, 3) of the image's size; a function of the request alone.

    Raises ConfigError for what the model cannot do, Rejected where no foreground is found.
    """
    image, mask = as_trained(opened, request)
    return opened.model.translate(
        image,
        mask,
        steps=request.steps,
        seed=request.seed,
        sampler=request.sampler,
        guidance=request.guidance,
        conditions=request.conditions,
    )


def as_trained(opened: OpenedModel, request: Request) -> tuple[np.ndarray, np.ndarray | None]:
    """The request's image and mask in the form that the model was trained on. Raises as `translate_image`."""
    check_mask(request)
    image, mask = request.image, request.mask
    if request.background is not None:
        return _paste(request)
    if opened.removes and mask is not None:
        return fill_hole(image, mask, request.seed), mask
    return image, mask


def check_mask(request: Request) -> None:
    """Raises ConfigError where the mask is not of the image's size."""
    image, mask = request.image, request.mask
    if mask is not None and mask.shape != image.shape[:2]:
        raise ConfigError(
            f"the mask has shape {mask.shape}, the image {image.shape[:2]}",
            consequence="resizing here would move the edge",
            remedy="bring both to one size",
        )


def translate_files(
    opened: OpenedModel,
    source: Path,
    out: Path,
    *,
    request: Callable[[Path], Request],
    on_done: Callable[[Path], None] = lambda path: None,
) -> list[tuple[Path, PairbridgeError]]:
    """`each_image` translated; `request` makes of a file what is to be translated."""

    def write(path: Path, target: Path) -> None:
        write_png(target, translate_image(opened, request(path)))

    return each_image(source, out, write, on_done=on_done)


def each_image(
    source: Path,
    out: Path,
    write: Callable[[Path, Path], None],
    *,
    on_done: Callable[[Path], None] = lambda path: None,
) -> list[tuple[Path, PairbridgeError]]:
    """`write` one image file as the PNG `out`, or each image of a folder into the folder `out`, by stem.

    Of a folder, images that cannot be read or worked on are left out and returned with their error. Raises
    ConfigError for names that do not fit, and the error itself for a single image.
    """
    if not source.is_dir():
        _check_png(out)
        write(source, out)
        on_done(out)
        return []
    failed: list[tuple[Path, PairbridgeError]] = []
    for path in _images_of(source):
        target = out / f"{path.stem}.png"
        try:
            write(path, target)
        except (AssetError, ConfigError) as error:
            failed.append((path, error))
            continue
        on_done(target)
    return failed


def beside(given: Path | None, image: Path) -> Path | None:
    """The file that goes with an image: `given` itself, or of a folder the one with the image's stem."""
    if given is None or not given.is_dir():
        return given
    found = [path for path in sorted(given.iterdir()) if path.stem == image.stem and _is_image(path)]
    if not found:
        raise ConfigError(
            f"{given} has no image named {image.stem}",
            consequence=f"{image.name} was not translated",
            remedy="name the files alike, or give one file for all",
        )
    return found[0]


def read_image(path: Path) -> np.ndarray:
    """uint8 (H, W, 3). Raises AssetError for what is no image file."""
    return decode_image(_bytes(path), path.name)


def read_mask(path: Path) -> np.ndarray:
    """uint8 (H, W). Raises AssetError for what is no grey image file."""
    return decode_grey(_bytes(path), path.name)


def newest_checkpoint(folder: Path) -> Path:
    """`folder` if it is a checkpoint, else the newest one of the training or run in it. Raises
    ConfigError.
    """
    if (folder / "state.json").is_file():
        return folder
    for root in (folder, folder / "checkpoints", folder / "train" / "checkpoints"):
        found = checkpoint_folders(root)
        if found:
            return found[-1]
    raise ConfigError(
        f"{folder} holds no checkpoint",
        consequence="there is no model to translate with",
        remedy="name a run's folder such as runs/demo, one of its train/checkpoints/step-*, or a published"
        " model",
    )


def run_of(checkpoint: Path) -> Path | None:
    """The folder of the run whose train/checkpoints/ this is in."""
    parents = checkpoint.absolute().parents
    return parents[2] if [parent.name for parent in parents[:2]] == ["checkpoints", "train"] else None


def removes(state: CheckpointState, run: Path | None) -> bool:
    """Whether every source of the mix is of removal pairs, whose masks are holes.

    Where the data are not at hand, a model that sees no mask can only have been given holes.
    """
    found = []
    for source in MixConfig.model_validate(state.mix).sources:
        try:
            folder = source.folder(run or Path())
            if is_import(folder):
                found.append(ImportManifest.from_folder(folder).kind == "imported_removal")
            else:
                kind = DatasetManifest.from_folder(folder).recipes[source.recipe].kind
                found.append(kind.endswith("_removal"))
        except (PairbridgeError, KeyError):
            seen = state.config["denoiser"]["conditions"]
            return all(condition["field"] != MASK for condition in seen)
    return all(found)


def _paste(request: Request) -> tuple[np.ndarray, np.ndarray]:
    """The foreground where it is, on the background cropped to the image's size; and its mask."""
    image, mask = request.image, request.mask
    if mask is None:
        mask = cut_out(open_matting_model(request.matting), image)
    height, width = image.shape[:2]
    behind = crop_and_resize(request.background, Frame((width, height)))
    alpha = mask[..., None].astype(np.float32) / 255
    # The rim's own colours, without the old background that shines through it.
    foreground = estimate_foreground(image, mask)
    return np.rint(behind + alpha * (foreground - behind)).astype(np.uint8), mask


def _check_png(out: Path) -> None:
    if out.suffix.lower() != ".png":
        raise ConfigError(
            f"--out {out} is no .png file",
            consequence="the result would be lost or altered by compression",
            remedy="name a file that ends in .png",
        )


def _images_of(folder: Path) -> list[Path]:
    images = [path for path in sorted(folder.iterdir()) if _is_image(path)]
    stems = [path.stem for path in images]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice or not images:
        why = f"holds {twice[0]!r} under two suffixes" if twice else f"holds no {', '.join(SUFFIXES)} file"
        raise ConfigError(
            f"{folder} {why}",
            consequence="results are named by stem, and one would overwrite the other"
            if twice
            else "there is nothing to translate",
            remedy="rename one of them" if twice else "name an image, or a folder of images",
        )
    return images


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _given(image: np.ndarray | str | Path, read: Callable[[Path], np.ndarray]) -> np.ndarray:
    return image if isinstance(image, np.ndarray) else read(Path(image))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AssetError(
            f"{path} cannot be read: {error.strerror}",
            consequence="nothing was translated",
            remedy="name a JPEG, PNG or WebP file",
        ) from error


def _cuda_works() -> bool:
    import torch

    return torch.cuda.is_available()
