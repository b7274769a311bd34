"""What Blender's process may reach: it reads files of strangers, by importers that nobody has proven safe.

It reads the folders of objects and its own installation, writes into its own scratch folder and into shared
memory, and reaches no network, no program and no other process. Imports the standard library alone, for it is
done before NumPy or bpy start threads.
"""

import contextlib
import getpass
import glob
import importlib.util
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pairbridge.datagen.blender import kernel_filters

# Libraries, fonts and drivers' files; nothing of a user's, and of /etc what names no user and no host.
_SYSTEM = (
    *("/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/cuda", "/usr/share", "/lib", "/lib64"),
    *("/nix/store", "/run/opengl-driver", "/opt/rocm", "/opt/intel"),
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/fonts", "/etc/OpenCL", "/etc/vulkan"),
    "/etc/ssl/openssl.cnf",
    *("/proc/self", "/proc/sys", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems"),
    *("/proc/devices", "/proc/driver", "/proc/modules", "/sys"),
    *("/dev/urandom", "/dev/random", "/dev/zero"),
)
_PACKAGES = ("pairbridge", "pairbridge.datagen", "pairbridge.blender_assets")
_GPU_NODES = ("/dev/nvidia*", "/dev/dri", "/dev/kfd")


@dataclass(frozen=True, slots=True)
class Grants:
    """Files and folders beyond the installation: those that may be read, written below, and driven (the nodes
    of a GPU)."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    drive: tuple[str, ...] = ()

    def write_to(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read_from(cls, path: Path) -> "Grants":
        return cls(**{name: tuple(paths) for name, paths in json.loads(path.read_text()).items()})


@dataclass(frozen=True, slots=True)
class Confinement:
    """What holds: the version of Landlock's interface, 0 for none, whether seccomp's filter is on, and why
    not."""

    landlock: int
    seccomp: bool
    lacking: tuple[str, ...] = ()


def confine(grants: Grants) -> Confinement:
    """Confine this process, which has one thread yet, as far as the kernel can, for good."""
    if kernel_filters.num_threads() != 1:
        raise RuntimeError("threads that run already would stay free: confine before they start")
    lacking, landlock, seccomp = [], 0, False
    rights = {
        kernel_filters.READ: (*_SYSTEM, *_installation(), *grants.read),
        kernel_filters.WRITE: ("/dev/null", *grants.write),
        kernel_filters.DEVICE: grants.drive,
    }
    try:
        landlock = kernel_filters.limit_files(rights)
    except kernel_filters.NotSupported as error:
        lacking.append(f"Landlock ({error})")
    try:
        kernel_filters.refuse_calls()
        seccomp = True
    except kernel_filters.NotSupported as error:
        lacking.append(f"seccomp ({error})")
    return Confinement(landlock, seccomp, tuple(lacking))


def described(confinement: Confinement) -> str:
    """One line for a log."""
    held = [f"Landlock {confinement.landlock}"] if confinement.landlock else []
    held += ["seccomp"] if confinement.seccomp else []
    return f"confined by {' and '.join(held) or 'nothing'}" + "".join(
        f"; no {what}" for what in confinement.lacking
    )


def _installation() -> Iterator[str]:
    """Where this interpreter imports from, and its own library."""
    yield from (place for place in sys.path if place)
    yield from (str(Path(prefix, "lib")) for prefix in (sys.prefix, sys.base_prefix))
    yield from filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":"))
    for name in _PACKAGES:
        # An editable installation has them in places that are not on the path.
        spec = importlib.util.find_spec(name)
        yield from (spec.submodule_search_locations or ()) if spec else ()


def folders_beyond(paths: Iterable[Path], folders: Iterable[Path]) -> tuple[Path, ...]:
    """The folders that hold these files themselves, not links to them, as far as `folders` do not."""
    inside = [folder.resolve() for folder in folders]
    wanted = dict.fromkeys(path.absolute().resolve().parent for path in paths)
    return tuple(folder for folder in wanted if not any(folder.is_relative_to(allowed) for allowed in inside))


def gpu_grants() -> Grants:
    """What a renderer on a GPU needs besides: the nodes of its driver, and the caches of compiled kernels,
    made here where they are missing."""
    home, owner = Path.home(), getpass.getuser()
    caches = [
        Path(os.environ.get("CUDA_CACHE_PATH", home / ".nv" / "ComputeCache")),
        Path(os.environ.get("OPTIX_CACHE_PATH", f"/var/tmp/OptixCache_{owner}")),
        Path(os.environ.get("XDG_CACHE_HOME", home / ".cache"), "cycles"),
    ]
    for cache in caches:
        with contextlib.suppress(OSError):
            cache.mkdir(parents=True, exist_ok=True)
    nodes = [node for pattern in _GPU_NODES for node in sorted(glob.glob(pattern))]
    return Grants(write=tuple(map(str, caches)), drive=tuple(nodes))
