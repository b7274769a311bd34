"""What the built package is made of: every room is listed, since the folders lie outside `pairbridge/`; and
what it asks for: reading alone, and extras by role."""

import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

from pairbridge.datagen.core.extras import MODULES
from tests.test_architecture import READER, imports, modules

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETTINGS = PROJECT["tool"]["setuptools"]
EXTRAS = PROJECT["project"]["optional-dependencies"]


def name_of(requirement: str) -> str:
    """Of the distribution, in the form in which two spellings of it are equal."""
    return re.sub("[-_.]+", "-", re.match(r"[\w.-]+", requirement).group()).lower()


def distributions_of(extra: str) -> set[str]:
    """Those that an extra names, those of extras that it takes in included."""
    found = set()
    for requirement in EXTRAS[extra]:
        if name_of(requirement) == "pairbridge":
            (within,) = re.findall(r"\[([\w,]+)\]", requirement)
            found |= set().union(*map(distributions_of, within.split(",")))
        else:
            found.add(name_of(requirement))
    return found


def providers(module: str) -> set[str]:
    """Distributions of this environment that have a module."""
    return {name_of(name) for name in _installed().get(module, ())}


# Reads the records of all that is installed, in half a second.
_installed = cache(packages_distributions)


def test_reading_asks_for_what_reading_imports_and_nothing_else() -> None:
    asked = {name_of(requirement) for requirement in PROJECT["project"]["dependencies"]}
    # jinja2 brings markupsafe, whose type it hands out.
    assert asked == {
        next(iter(providers(module) & asked), name_of(module)) for module in READER - {"markupsafe"}
    }


def test_every_extra_names_the_distributions_of_the_modules_that_it_is_said_to_bring() -> None:
    assert set(MODULES) <= set(EXTRAS)
    # These are sums of others.
    assert set(EXTRAS) - set(MODULES) == {"demo", "all", "dev"}
    for extra, names in MODULES.items():
        for module in names:
            named = distributions_of(extra)
            # What is not installed here is told by its name (gradio, gcsfs, mlflow-skinny).
            assert providers(module) & named or any(one.startswith(name_of(module)) for one in named), module


def test_every_foreign_module_that_is_imported_anywhere_is_asked_for() -> None:
    brought = READER | {name for names in MODULES.values() for name in names}
    # Blender's Python has some, gradio brings some, ComfyUI loads a part of this; torchvision may be here.
    others = {
        "bmesh",
        "mathutils",
        "addon_utils",
        "pxr",
        "uvicorn",
        "fastapi",
        "comfy",
        "folder_paths",
        "torchvision",
    }
    heads = {name.partition(".")[0] for path in modules().values() for name in imports(path)}
    foreign = heads - sys.stdlib_module_names - {"pairbridge"}
    assert foreign - brought - others == set()


def test_opencv_is_asked_for_by_one_name() -> None:
    """Two of its distributions in one environment overwrite each other's files."""
    every = {name_of(one) for one in PROJECT["project"]["dependencies"]}.union(*map(distributions_of, EXTRAS))
    assert {name for name in every if name.startswith("opencv")} == {"opencv-python"}
    for pins in ("pins.txt", "pins-3.13.txt", "app.txt", "docs.txt"):
        lines = (ROOT / "requirements" / pins).read_text().splitlines()
        assert {name_of(one) for one in lines if one.startswith("opencv")} <= {"opencv-python"}


def test_every_folder_with_code_is_a_package_of_the_wheel() -> None:
    found = set()
    for package, folder in SETTINGS["package-dir"].items():
        for init in (ROOT / folder).rglob("__init__.py"):
            inside = init.parent.relative_to(ROOT / folder).parts
            if "configs" not in inside:
                found.add(".".join((package, *inside)))
    assert sorted(SETTINGS["packages"]) == sorted(found)


def test_no_code_lies_in_a_folder_that_is_no_package() -> None:
    """Without an `__init__.py` an editable install still finds it, and a wheel lacks it."""
    lost = [
        path.relative_to(ROOT).as_posix()
        for folder in SETTINGS["package-dir"].values()
        for path in (ROOT / folder).rglob("*.py")
        if "configs" not in path.parts and not path.with_name("__init__.py").is_file()
    ]
    assert lost == []


def test_the_image_of_the_cluster_is_built_from_every_package() -> None:
    dockerfile = (ROOT / "pipelines" / "cluster" / "Dockerfile").read_text()
    for folder in SETTINGS["package-dir"].values():
        assert f"COPY {folder} {folder}\n" in dockerfile
