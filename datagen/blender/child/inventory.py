"""What an interpreter has of what Blender's process needs, as one JSON object.

Run by its path under any Python: the standard library alone, and nothing of it that is younger than 3.8. No
package is imported, so that a broken one is not the end.
"""

import importlib.util
import json
import platform
from importlib import metadata

NEEDED = ("bpy", "numpy", "pydantic")


def main():
    spec = importlib.util.find_spec("bpy")
    found = {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in NEEDED},
        "bpy_folders": list(spec.submodule_search_locations or ()) if spec else [],
    }
    print(json.dumps(found))


def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
