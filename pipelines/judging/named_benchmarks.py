"""What each published benchmark is: files, test split, sizes, what counts, and the columns of its papers.

Templates are read as those of an import (`pairbridge.datagen.imports.field_map`); the source's gives the
names in braces, and the files of the other fields follow from it. Of several templates the first whose file
is there holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["removal", "harmonisation", "shadow", "depth", "normals"]
# How the files of a field are read.
Reader = Literal[
    "image",
    "mask",
    "black_mask",
    "boxes",
    "png16",
    "npy",
    "npy_mask",
    "float32",
    "outward_png",
    "outward_exr",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPlace:
    """Where one field's files are, and how they are read. `unit` divides png16 into metres."""

    paths: tuple[str, ...]
    reader: Reader = "image"
    unit: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedBenchmark:
    """One published benchmark.

    `fields` have `source` and `target`, and `mask`, `shadow` or `valid` where it has them. `lists` are sets
    of files below the root that name the sources of the test split, one a line, each with the prefix that its
    lines lack. The first set of which one is there holds; without any, all that is found is judged. `cases`
    is how many there should be. `scenes` is the name in braces whose images are not independent, `groups`
    one that papers give rows of their own. `side` is the square that pairs are resized to first. `crop` and
    `region` cut images and what counts; `range_m` is the depth that counts, in metres. `protocol` says whose
    rules these are, and what they leave open.
    """

    kind: Kind
    title: str
    fields: Mapping[str, FieldPlace]
    protocol: str
    scenes: str
    cases: int | None = None
    lists: tuple[Mapping[str, str], ...] = ()
    side: int | None = None
    crop: Literal["kitti"] | None = None
    region: Literal["eigen_nyu", "eigen_kitti"] | None = None
    range_m: tuple[float, float] = (0.0, float("inf"))
    groups: str | None = None


_MARIGOLD = (
    "Files, split, valid range and crops as in Marigold's evaluation (Ke et al., CVPR 2024): depth up to "
    "scale and shift, aligned to the truth by least squares over valid pixels"
)
_DSINE = (
    "Files as in the evaluation set of DSINE (Bae and Davison, CVPR 2024), whose normals point into the "
    "surface, right, down and forward; pixels without a normal do not count, means are over all pixels"
)


def _rord(masks: Reader) -> NamedBenchmark:
    tops = ("val/", "test/", "")

    def place(folder: str, reader: Reader = "image") -> FieldPlace:
        paths = tuple(f"{top}{folder}/{{id}}{ending}" for top in tops for ending in (".jpg", ".png"))
        return FieldPlace(paths=paths, reader=reader)

    return NamedBenchmark(
        kind="removal",
        title="RORD",
        fields={"source": place("img"), "target": place("gt"), "mask": place("mask", masks)},
        scenes="id",
        protocol="RORD (Sagong et al., BMVC 2022): masks are black on the object; images with an empty mask "
        "are clean plates and do not count. The LBM paper states no size or crop; here images keep theirs",
    )


def _dsine(paths: tuple[str, str], reader: Reader, **rest) -> NamedBenchmark:
    source, target = paths
    return NamedBenchmark(
        kind="normals",
        fields={"source": FieldPlace(paths=(source,)), "target": FieldPlace(paths=(target,), reader=reader)},
        protocol=_DSINE,
        **rest,
    )


BENCHMARKS: dict[str, NamedBenchmark] = {
    "rord-fine": _rord("black_mask"),
    "rord-coarse": _rord("boxes"),
    "ober": NamedBenchmark(
        kind="removal",
        title="OBER test",
        fields={
            "source": FieldPlace(paths=("{id}/input_{name}.jpg", "{id}/input_{name}.png")),
            "target": FieldPlace(paths=("{id}/gt_{name}.jpg", "{id}/gt_{name}.png")),
            "mask": FieldPlace(paths=("{id}/mask_{name}.png",), reader="mask"),
        },
        scenes="id",
        protocol="OBER (Zhao et al., ObjectClear): files as its data loader names them; the test set's own "
        "form is not documented. Images keep their size",
    ),
    "iharmony4": NamedBenchmark(
        kind="harmonisation",
        title="iHarmony4",
        fields={
            "source": FieldPlace(paths=("{set}/composite_images/{photo}_{part}_{look}.jpg",)),
            "mask": FieldPlace(paths=("{set}/masks/{photo}_{part}.png",), reader="mask"),
            "target": FieldPlace(paths=("{set}/real_images/{photo}.jpg",)),
        },
        lists=(
            {"IHD_test.txt": ""},
            {
                f"{name}/{name}_test.txt": f"{name}/composite_images/"
                for name in ("HCOCO", "HAdobe5k", "HFlickr", "Hday2night")
            },
        ),
        scenes="photo",
        groups="set",
        cases=7404,
        side=256,
        protocol="iHarmony4 (Cong et al., CVPR 2020): 256 x 256 pixels, MSE and PSNR of whole images and MSE "
        "of foregrounds, on the 0..255 scale, means over images",
    ),
    "desobav2": NamedBenchmark(
        kind="shadow",
        title="DESOBAv2",
        fields={
            "source": FieldPlace(paths=("shadowfree_imgs/{id}.jpg", "shadowfree_imgs/{id}.png")),
            "target": FieldPlace(paths=("shadow_imgs/{id}.jpg", "shadow_imgs/{id}.png")),
            "mask": FieldPlace(paths=("object_masks/{id}.jpg", "object_masks/{id}.png"), reader="mask"),
            "shadow": FieldPlace(paths=("shadow_masks/{id}.jpg", "shadow_masks/{id}.png"), reader="mask"),
        },
        lists=({"test.txt": "shadowfree_imgs/"},),
        scenes="id",
        cases=750,
        side=256,
        protocol="DESOBAv2 (Liu et al., CVPR 2024): 256 x 256 pixels; global errors, and local ones within "
        "the true shadow. Its balanced error rate is of predicted shadow masks, which a translation has not",
    ),
    "nyuv2": NamedBenchmark(
        kind="depth",
        title="NYUv2",
        fields={
            "source": FieldPlace(paths=("test/{scene}/rgb_{frame}.png",)),
            "target": FieldPlace(paths=("test/{scene}/depth_{frame}.png",), reader="png16", unit=1000),
        },
        lists=({"filename_list_test.txt": ""},),
        scenes="scene",
        cases=654,
        region="eigen_nyu",
        range_m=(1e-3, 10),
        protocol=_MARIGOLD,
    ),
    "kitti": NamedBenchmark(
        kind="depth",
        title="KITTI, Eigen split",
        fields={
            "source": FieldPlace(paths=("{date}/{drive}/image_02/data/{frame}.png",)),
            "target": FieldPlace(
                paths=tuple(
                    f"{top}{{drive}}/proj_depth/groundtruth/image_02/{{frame}}.png"
                    for top in ("", "train/", "val/")
                ),
                reader="png16",
                unit=256,
            ),
        },
        lists=({"eigen_test_files_with_gt.txt": ""},),
        scenes="drive",
        cases=652,
        crop="kitti",
        region="eigen_kitti",
        range_m=(1e-5, 80),
        protocol=_MARIGOLD,
    ),
    "eth3d": NamedBenchmark(
        kind="depth",
        title="ETH3D",
        fields={
            "source": FieldPlace(paths=("rgb/{scene}/images/dslr_images/{frame}.JPG",)),
            "target": FieldPlace(
                paths=("depth/{scene}_dslr_depth/{scene}/ground_truth_depth/dslr_images/{frame}.JPG",),
                reader="float32",
            ),
        },
        lists=({"eth3d_filename_list.txt": ""},),
        scenes="scene",
        cases=454,
        range_m=(1e-5, float("inf")),
        protocol=_MARIGOLD,
    ),
    "scannet": NamedBenchmark(
        kind="depth",
        title="ScanNet",
        fields={
            "source": FieldPlace(paths=("{scene}/color/{frame}.jpg",)),
            "target": FieldPlace(paths=("{scene}/depth/{frame}.png",), reader="png16", unit=1000),
        },
        lists=({"scannet_val_sampled_list_800_1.txt": ""},),
        scenes="scene",
        cases=800,
        range_m=(1e-3, 10),
        protocol=_MARIGOLD,
    ),
    "diode": NamedBenchmark(
        kind="depth",
        title="DIODE",
        fields={
            "source": FieldPlace(paths=("{place}/{scene}/{scan}/{frame}.png",)),
            "target": FieldPlace(paths=("{place}/{scene}/{scan}/{frame}_depth.npy",), reader="npy"),
            "valid": FieldPlace(paths=("{place}/{scene}/{scan}/{frame}_depth_mask.npy",), reader="npy_mask"),
        },
        lists=({"diode_val_all_filename_list.txt": ""},),
        scenes="scan",
        cases=771,
        range_m=(0.6, 350),
        protocol=_MARIGOLD,
    ),
    "nyuv2-normals": _dsine(
        ("test/{frame}_img.png", "test/{frame}_normal.png"),
        "outward_png",
        title="NYUv2, normals",
        scenes="frame",
        cases=654,
    ),
    "scannet-normals": _dsine(
        ("{scene}/{frame}_img.png", "{scene}/{frame}_normal.png"),
        "outward_png",
        title="ScanNet, normals",
        scenes="scene",
        cases=300,
    ),
    "ibims-normals": _dsine(
        ("ibims/{frame}_img.png", "ibims/{frame}_normal.exr"),
        "outward_exr",
        title="iBims-1, normals",
        scenes="frame",
        cases=100,
    ),
    "sintel-normals": _dsine(
        ("{scene}/{frame}_img.png", "{scene}/{frame}_normal.exr"),
        "outward_exr",
        title="Sintel, normals",
        scenes="scene",
        cases=1064,
    ),
}
