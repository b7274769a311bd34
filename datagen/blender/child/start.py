"""The first lines of Blender's process, run by their path: pairbridge made importable, then `entry`.

The interpreter may be another environment's, where pairbridge is not installed. The place where it is must
not be put on the path either: other packages lie there, built for another Python. So the two packages that
all is below are loaded from where the parent found them. Imports nothing that starts a thread.
"""

import importlib.util
import sys
from pathlib import Path

PACKAGES = ("pairbridge", "pairbridge.datagen")


def make_importable(name: str, folder: str) -> None:
    """Load the package `name` from `folder`; what is in it is found from then on."""
    spec = importlib.util.spec_from_file_location(
        name, Path(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    for package in PACKAGES:
        make_importable(package, sys.argv.pop(1))
    # Only now there is such a package.
    from pairbridge.datagen.blender.child.entry import main

    main()
