"""What the built package is made of: every room is listed, since the folders lie outside `pairbridge/`."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


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
