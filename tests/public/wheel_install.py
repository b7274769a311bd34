"""The built wheel in an environment of its own, and a folder in which generic names are someone else's."""

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
# What a wheel is built from; a build in the checkout itself would leave folders there, and take stale ones.
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")
PACKAGES = ("pairbridge", "datagen", "training", "pipelines", "blender_assets")
# NVlabs/edm2 has a `training`, RORem a `pipelines`, and nearly everybody `tests`.
TAKEN_NAMES = ("datagen", "training", "pipelines", "blender_assets", "tests", "benchmarks")


@dataclass(frozen=True)
class Installed:
    """`bin` holds python, pairbridge and ray; `site` the installed package."""

    bin: Path
    site: Path

    def run(self, folder: Path, *command: str, **changes: str) -> subprocess.CompletedProcess:
        """A program of the environment's, run in `folder`."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment |= {
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
            **changes,
        }
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=500,
        )


def build_wheel(folder: Path) -> Path:
    """The wheel of the checkout as it is, built in a copy."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in SOURCES:
        shutil.copy(ROOT / name, source / name)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = ["-m", "pip", "wheel", str(source), "--no-deps", "--no-build-isolation", "--wheel-dir"]
    done = subprocess.run(
        [sys.executable, *command, str(folder / "dist")], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Installed:
    """A new environment with the wheel; the dependencies are those of the running one, found after it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python3.*/site-packages")
    # The .pth files in there, an editable install's among them, are not followed from here.
    theirs = [path for path in sys.path if path.endswith("site-packages")]
    (site / "zz_dependencies.pth").write_text("\n".join(theirs))
    python = folder / "bin" / "python"
    command = ["-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    ray = folder / "bin" / "ray"
    ray.write_text(f"#!{python}\nfrom ray.scripts.scripts import main\nmain()\n")
    ray.chmod(0o755)
    return Installed(folder / "bin", site)


def reader_environment(wheel: Path, folder: Path) -> Installed:
    """A new environment with the wheel and what it declares without extras, from no index: packages that are
    installed here are linked into it, those and no others.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python3.*/site-packages")
    for name in declared(wheel):
        distribution = metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files if file.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            if not (site / top).exists():
                (site / top).symlink_to(distribution.locate_file(top))
    python = folder / "bin" / "python"
    command = ["-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return Installed(folder / "bin", site)


def declared(wheel: Path) -> set[str]:
    """Names of the distributions that the wheel needs without any extra, and of those that these need."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode().splitlines()
    open_, found = [line.partition(": ")[2] for line in lines if line.startswith("Requires-Dist: ")], set()
    while open_:
        requirement = Requirement(open_.pop())
        if requirement.name.lower() in found or (
            requirement.marker and not requirement.marker.evaluate({"extra": ""})
        ):
            continue
        found.add(requirement.name.lower())
        open_ += metadata.requires(requirement.name) or ()
    return found


def crowded_folder(folder: Path) -> Path:
    """A folder whose own packages have the names of our top-level folders, and must never be imported."""
    for name in TAKEN_NAMES:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f'raise ImportError("{name} of the working folder")\n')
    return folder
