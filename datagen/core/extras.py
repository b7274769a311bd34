"""The extras of this package: what each brings, what says so where it is missing, and what to type then."""

import json
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import pairbridge
from pairbridge.datagen.core.errors import ConfigError, PairbridgeError

# Modules that each extra of pyproject.toml brings and that are imported here, smaller extras first: the first
# that has a module is the one to install for it.
MODULES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "render": ("bpy",),
        "generate": ("ray", "skimage"),
        "models": ("torch", "diffusers", "transformers", "huggingface_hub"),
        "train": ("torch", "diffusers", "transformers", "huggingface_hub", "skimage", "webdataset"),
        "report": ("matplotlib",),
        "hf": ("pyarrow",),
        "cluster": ("ray", "skimage", "pyarrow", "pandas"),
        "lora": ("peft",),
        "onnx": ("onnx", "onnxscript", "onnxruntime"),
        "solvers": ("torchdiffeq",),
        "hypersim": ("h5py",),
        "matting": ("pymatting",),
        "s3": ("s3fs",),
        "gs": ("gcsfs",),
        "tensorboard": ("tensorboard",),
        "wandb": ("wandb",),
        "mlflow": ("mlflow",),
        "app": ("gradio",),
    }
)


class ExtraMissing(ConfigError):
    """Something was asked for that needs packages which only an extra of this one brings."""


def lacking(*extras: str) -> list[str]:
    """Modules of `extras` that are not installed. Nothing is imported: a look takes a fraction of a
    millisecond.
    """
    wanted = dict.fromkeys(name for extra in extras for name in MODULES[extra])
    return [name for name in wanted if not _there(name)]


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last} are" if most else f"{last} is"


def _there(module: str) -> bool:
    # One that is imported may have no spec, which `find_spec` refuses.
    if module in sys.modules:
        return sys.modules[module] is not None
    found = find_spec(module)
    # Without an origin it is a mere folder of that name, such as the `wandb` of a working folder.
    return found is not None and found.origin is not None


def require(
    *extras: str,
    by: str,
    only: Sequence[str] | None = None,
    consequence: str = "nothing was read or written",
    otherwise: str = "",
) -> None:
    """Raise ExtraMissing unless what `extras` bring is installed: all of it, or the modules in `only`.

    `by` is who needs it, `otherwise` what else would do, in the imperative.
    """
    missing = [name for name in lacking(*extras) if only is None or name in only]
    if missing:
        raise ExtraMissing(
            f"{_listed(missing)} not installed, which {by} needs",
            consequence=consequence,
            remedy=install_command(*(extra for extra in extras if lacking(extra)))
            + (f", or {otherwise}" if otherwise else ""),
        )


def explained(error: ImportError) -> PairbridgeError | None:
    """What a failed import means where it is the lack of an extra, or of a system library; else None."""
    module = (error.name or "").partition(".")[0]
    for extra, modules in MODULES.items():
        if module in modules and not _there(module):
            return ExtraMissing(
                f"{module} is not installed, which this needs",
                consequence="it ends here",
                remedy=install_command(extra),
            )
    if "libGL.so.1" in str(error):
        # opencv-python links to it for windows that are never opened here.
        return ExtraMissing(
            "the system has no libGL.so.1, which OpenCV links to",
            consequence="no picture can be read or written",
            remedy="as root: apt-get install -y libgl1 libglib2.0-0",
        )
    return None


def install_command(*extras: str) -> str:
    """What to type for the packages of `extras`, by their names in pyproject.toml; without any, for those
    that reading takes.

    No index has pairbridge. A checkout is installed again by its folder; a wheel or an archive by the address
    that pip noted when it installed this one.
    """
    wanted = f"[{','.join(extras)}]" if extras else ""
    checkout = Path(pairbridge.__file__).parent.parent
    if (checkout / "pyproject.toml").is_file():
        return f"{_install()} -e '{checkout}{wanted}'"
    # Here: it takes as long as half of --help.
    from importlib import metadata

    noted = metadata.distribution("pairbridge").read_text("direct_url.json")
    # Without a note it came from where pip looks by itself, and so will this.
    return f"{_install()} 'pairbridge{wanted}{' @ ' + json.loads(noted)['url'] if noted else ''}'"


def _install() -> str:
    """Into this environment, whether or not it is the active one. Those that uv makes have no pip."""
    if find_spec("pip") is not None:
        return f"{sys.executable} -m pip install"
    return f"uv pip install --python {sys.executable}"
