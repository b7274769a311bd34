"""The command that installs an extra of this package, in the form that works for this installation."""

import json
from importlib import metadata
from pathlib import Path

import pairbridge


def install_command(*extras: str) -> str:
    """What to type for the packages of `extras`, by their names in pyproject.toml.

    No index has pairbridge. A checkout is installed again by its folder; a wheel or an archive by the address
    that pip noted when it installed this one.
    """
    wanted = f"[{','.join(extras)}]"
    checkout = Path(pairbridge.__file__).parent.parent
    if (checkout / "pyproject.toml").is_file():
        return f"pip install -e '{checkout}{wanted}'"
    noted = metadata.distribution("pairbridge").read_text("direct_url.json")
    # Without a note it came from where pip looks by itself, and so will this.
    return f"pip install 'pairbridge{wanted}{' @ ' + json.loads(noted)['url'] if noted else ''}'"
