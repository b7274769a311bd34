"""Add-ons of the user's in Blender's process. Needs bpy, but for `install`, which runs before it is imported.

The add-on is linked into the process's own, temporary user folder: nothing is installed on the machine, and
Blender finds it the way it finds its own.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from pairbridge.datagen.assets.object_rules import AddonConfig
from pairbridge.datagen.core.errors import PairbridgeError

_MANIFEST = "blender_manifest.toml"


class AddonUnusable(PairbridgeError):
    """An add-on that Blender does not enable: nothing can be made as the configuration says."""


def install(addons: Sequence[AddonConfig], user_dir: Path) -> None:
    """Link each add-on into `user_dir`, which is Blender's BLENDER_USER_RESOURCES."""
    for addon in addons:
        if not addon.path.exists() or addon.path.suffix == ".zip":
            raise _unusable(addon, "there is no such folder or .py file")
        folder = user_dir / ("extensions/user_default" if _is_extension(addon) else "scripts/addons")
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / addon.path.name
        if not link.exists():
            os.symlink(addon.path.absolute(), link)


def enable(addons: Sequence[AddonConfig]) -> None:
    """Enable each add-on; to be called after every reset, which drops them with the preferences."""
    import addon_utils

    for addon in addons:
        problem = "it raised, or has no register(); see the log"
        try:
            module = addon_utils.enable(_module(addon), default_set=True)
        except Exception as error:
            module, problem = None, f"{type(error).__name__}: {error}"
        if module is None:
            raise _unusable(addon, problem)


def import_operators(addons: Sequence[AddonConfig]) -> dict[str, str]:
    """Suffix -> operator, of all add-ons."""
    return {suffix: operator for addon in addons for suffix, operator in addon.imports.items()}


def _module(addon: AddonConfig) -> str:
    return f"bl_ext.user_default.{addon.name}" if _is_extension(addon) else addon.name


def _is_extension(addon: AddonConfig) -> bool:
    return (addon.path / _MANIFEST).is_file()


def _unusable(addon: AddonConfig, why: str) -> AddonUnusable:
    return AddonUnusable(
        f"add-on {addon.path} cannot be enabled: {why}",
        consequence="objects that need it would be missing or wrong, so nothing is rendered",
        remedy="unpack its zip and name the folder that holds its __init__.py; try it in Blender first",
    )
