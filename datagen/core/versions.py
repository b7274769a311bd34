"""The versions that a dataset records, for it and for each sample."""

from functools import cache
from importlib import metadata

# Whose versions a sample records: those whose change can change a pixel, or the bytes that it is packed in.
_RECORDED_DISTRIBUTIONS = (
    "pairbridge",
    "numpy",
    "opencv-python",
    "OpenEXR",
    "deflate",
    "bpy",
    "torch",
    "diffusers",
    "transformers",
)


def recorded_versions(bpy: str | None = None) -> dict[str, str]:
    """Installed versions of the distributions that shape a sample; `absent` for one that is not installed.

    `bpy` is the version of the one that renders, where that is in another environment.
    """
    beside = {} if bpy is None else {"bpy": bpy}
    return {name: _version(name) for name in _RECORDED_DISTRIBUTIONS} | beside


@cache
def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"
