"""The versions that a dataset records, for it and for each sample."""

from functools import cache
from importlib import metadata

# Whose versions a sample records: those whose change can change a pixel.
_RECORDED_DISTRIBUTIONS = (
    "pairbridge",
    "numpy",
    "opencv-python",
    "OpenEXR",
    "bpy",
    "torch",
    "diffusers",
    "transformers",
)


def recorded_versions() -> dict[str, str]:
    """Installed versions of the distributions that shape a sample; `absent` for one that is not installed."""
    return {name: _version(name) for name in _RECORDED_DISTRIBUTIONS}


@cache
def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"
