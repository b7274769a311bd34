"""The cases of a named benchmark in a user's download: found by path, read one at a time, checked."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pairbridge.datagen.assets.exr_files import read_pixels
from pairbridge.datagen.assets.mask_files import decode_mask
from pairbridge.datagen.assets.photographs import decode_grey16, decode_image
from pairbridge.datagen.core.errors import AssetError, ConfigError, FileUnreadable
from pairbridge.datagen.core.limits import MAX_ARRAY_BYTES
from pairbridge.datagen.imports.candidates import walk_files
from pairbridge.datagen.imports.field_codecs import MaskCodec
from pairbridge.datagen.imports.field_decoding import decode
from pairbridge.datagen.imports.field_map import FieldFiles
from pairbridge.datagen.shards.sample import decode_field
from pairbridge.pipelines.judging.named_benchmarks import FieldPlace, NamedBenchmark

# KITTI's benchmark size (height, width): the lower middle of an image.
KITTI_HW = (352, 1216)
# Of height from top to bottom and of width from left to right: what counts (Eigen et al., NIPS 2014).
EIGEN_KITTI = ((0.3324324, 0.91351351), (0.0359477, 0.96405229))
EIGEN_NYU = (slice(45, 471), slice(41, 601))


@dataclass(frozen=True, slots=True)
class FoundCase:
    """One image of a benchmark: its id, what it is not independent of, its row of the table, its files."""

    id: str
    scene: str
    group: str
    files: dict[str, Path]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A case that was read. `source` uint8 (H, W, 3); `mask` uint8 (H, W), 255 = what is to change; `target`
    uint8 (H, W, 3), or float32 depth in metres (H, W), or normals (H, W, 3), right, up, towards the camera;
    `counts` bool (H, W): the pixels that are judged.
    """

    id: str
    scene: str
    group: str
    source: np.ndarray
    mask: np.ndarray | None
    target: np.ndarray
    counts: np.ndarray


def find_cases(benchmark: NamedBenchmark, root: Path, lists: Path | None = None) -> list[FoundCase]:
    """The benchmark's cases below `root`, sorted by id: those of its list, or of `lists` (a file), if there
    is one. Raises ConfigError where there are none, or where the list names one that is not whole.
    """
    source = _files(benchmark.fields["source"])
    there = {path: values for path in walk_files(root) if (values := source.match(path)) is not None}
    listed = _listed(benchmark, root, lists)
    wanted = sorted(there) if listed is None else listed
    cases, lacking = [], []
    for path in wanted:
        values = there.get(path)
        files = _whole(benchmark, root, path, values) if values is not None else None
        if files is None:
            lacking.append(path)
        else:
            group = values[benchmark.groups] if benchmark.groups else ""
            scene = values[benchmark.scenes]
            cases.append(FoundCase(path.rpartition(".")[0], f"{group}/{scene}", group, files))
    if not cases or (listed is not None and lacking):
        what = f"{len(lacking)} of {len(wanted)} cases, the first {lacking[0]}" if lacking else "every case"
        places = "; ".join(f"{name}: {' or '.join(one.paths)}" for name, one in benchmark.fields.items())
        raise ConfigError(
            f"{root} lacks {what} of {benchmark.title}",
            consequence="figures of a part are no figures of the benchmark",
            remedy=f"give the folder that holds these files ({places}), or a shorter list by --list",
        )
    return cases


def _files(place: FieldPlace) -> FieldFiles:
    return FieldFiles(paths=place.paths, codec=MaskCodec())


def _whole(
    benchmark: NamedBenchmark, root: Path, source: str, values: dict[str, str]
) -> dict[str, Path] | None:
    """The files of the case whose source is at `source`, None where one is missing."""
    files = {"source": root / source}
    for name, place in benchmark.fields.items():
        if name == "source":
            continue
        there = [root / path.format(**values) for path in place.paths]
        found = next((path for path in there if path.is_file()), None)
        if found is None:
            return None
        files[name] = found
    return files


def _listed(benchmark: NamedBenchmark, root: Path, lists: Path | None) -> list[str] | None:
    """Sources of the test split, below the root; None where no list says."""
    if lists is not None:
        return sorted(_lines(lists, "", benchmark))
    for alternative in benchmark.lists:
        files = {root / name: prefix for name, prefix in alternative.items() if (root / name).is_file()}
        if files:
            lines = (_lines(path, prefix, benchmark) for path, prefix in files.items())
            return sorted(line for of_file in lines for line in of_file)
    return None


def _lines(path: Path, prefix: str, benchmark: NamedBenchmark) -> Iterator[str]:
    """The first word of every line as a path below the root; without a suffix it gets the source's."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise FileUnreadable.of(path, OSError(str(error))) from error
    suffix = "." + benchmark.fields["source"].paths[0].rpartition(".")[2]
    for line in text.splitlines():
        words = line.split()
        # The lists of KITTI name images without a depth map by this word.
        if words and words[1:2] != ["None"]:
            name = prefix + words[0]
            yield name if re.search(r"\.[A-Za-z]{3,4}\Z", name) else name + suffix


def read_case(benchmark: NamedBenchmark, found: FoundCase) -> Case | None:
    """The case's pixels, or None for one that its protocol leaves out: nothing is marked or measured.

    Raises AssetError for a file that is damaged or of another size than its source.
    """
    fields = benchmark.fields
    source = _image(found.files["source"])
    # Raw floats state no size: they have the source's.
    size_HW = source.shape[:2]
    target = _read(fields["target"], found.files["target"], size_HW)
    mask = _read(fields["mask"], found.files["mask"], size_HW) if "mask" in fields else None
    counts = _counts(benchmark, found, target, size_HW)
    for name, one in (("target", target), ("mask", mask)):
        if one is not None and one.shape[:2] != size_HW:
            raise _unusable(
                found.files[name], f"it has {one.shape[1]}x{one.shape[0]} pixels, {_wanted(size_HW)}"
            )
    if benchmark.side:
        source, target = (_resized(one, benchmark.side) for one in (source, target))
        counts = _resized(counts.astype(np.uint8) * 255, benchmark.side) >= 128
        mask = None if mask is None else _resized(mask, benchmark.side)
    if benchmark.crop == "kitti":
        cut = _kitti_crop(size_HW, found.files["source"])
        source, target, counts = source[cut], target[cut], counts[cut]
    if benchmark.region:
        counts = counts & _region(benchmark.region, counts.shape)
    if not counts.any() or (mask is not None and not mask.any()):
        return None
    return Case(found.id, found.scene, found.group, source, mask, target, counts)


def _counts(
    benchmark: NamedBenchmark, found: FoundCase, target: np.ndarray, size_HW: tuple[int, int]
) -> np.ndarray:
    """bool (H, W): everything of images, the shadow of a shadow benchmark, valid depth and normals."""
    fields = benchmark.fields
    if benchmark.kind == "shadow":
        return _read(fields["shadow"], found.files["shadow"], size_HW) >= 128
    if benchmark.kind == "normals":
        return np.linalg.norm(target, axis=2) > 0.5
    if benchmark.kind != "depth":
        return np.ones(size_HW, bool)
    low, high = benchmark.range_m
    counts = np.isfinite(target) & (target > low) & (target < high)
    if "valid" in fields:
        counts &= _read(fields["valid"], found.files["valid"], size_HW) > 0
    return counts


def _read(place: FieldPlace, path: Path, size_HW: tuple[int, int]) -> np.ndarray:
    match place.reader:
        case "image":
            return _image(path)
        case "mask":
            return decode_mask(_bytes(path), str(path))
        case "black_mask" | "boxes":
            form = "box" if place.reader == "boxes" else "as_is"
            codec = MaskCodec(foreground="black", threshold=128, form=form, empty="keep")
            return decode(codec, _bytes(path), str(path))
        case "png16":
            return decode_grey16(_bytes(path), str(path)).astype(np.float32) / np.float32(place.unit)
        case "npy" | "npy_mask":
            return _plane(path)
        case "float32":
            return _raw(path, size_HW)
        case "outward_png":
            picture = _image(path)
            normals = picture.astype(np.float32) / 127.5 - 1
            normals[~picture.any(axis=2)] = 0
            return _inward(normals)
        case "outward_exr":
            return _inward(read_pixels(path))


def _inward(normals: np.ndarray) -> np.ndarray:
    """Normals that point into the surface, right, down and forward -> out of it, right, up and back."""
    return normals * np.array([-1, 1, 1], np.float32)


def _image(path: Path) -> np.ndarray:
    return decode_image(_bytes(path), str(path))


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_ARRAY_BYTES:
            raise _unusable(path, f"it has more than {MAX_ARRAY_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise FileUnreadable.of(path, error) from error


def _plane(path: Path) -> np.ndarray:
    """(H, W) float32 of an .npy file, also of (H, W, 1)."""
    array = decode_field("field.npy", _bytes(path))
    if array.dtype.kind not in "fiub" or array.squeeze().ndim != 2:
        raise _unusable(path, f"it holds {array.dtype} {array.shape}, and a map has two axes")
    return array.squeeze().astype(np.float32)


def _raw(path: Path, size_HW: tuple[int, int]) -> np.ndarray:
    """(H, W) of 32-bit floats without a header, ETH3D's form; infinity means that nothing was measured."""
    data = _bytes(path)
    if len(data) != 4 * size_HW[0] * size_HW[1]:
        raise _unusable(path, f"it has {len(data)} bytes, not four for each pixel, {_wanted(size_HW)}")
    depth = np.frombuffer(data, "<f4").reshape(size_HW)
    return np.where(np.isfinite(depth), depth, np.float32(0))


def _kitti_crop(size_HW: tuple[int, int], path: Path) -> tuple[slice, slice]:
    top, left = size_HW[0] - KITTI_HW[0], (size_HW[1] - KITTI_HW[1]) // 2
    if top < 0 or left < 0:
        raise _unusable(path, f"its {size_HW[1]}x{size_HW[0]} pixels are less than KITTI's {KITTI_HW[::-1]}")
    return slice(top, top + KITTI_HW[0]), slice(left, left + KITTI_HW[1])


def _region(region: str, size_HW: tuple[int, int]) -> np.ndarray:
    inside = np.zeros(size_HW, bool)
    if region == "eigen_nyu":
        inside[EIGEN_NYU] = True
    else:
        rows, columns = (
            slice(*(int(share * size) for share in shares))
            for shares, size in zip(EIGEN_KITTI, size_HW, strict=True)
        )
        inside[rows, columns] = True
    return inside


def _resized(image: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def _wanted(size_HW: tuple[int, int]) -> str:
    return f"and the source {size_HW[1]}x{size_HW[0]}"


def _unusable(path: Path, why: str) -> AssetError:
    return AssetError(
        f"{path} cannot be judged on: {why}",
        consequence="figures without it are no figures of the benchmark",
        remedy="download it again, or leave it out of a list of your own (--list)",
    )
