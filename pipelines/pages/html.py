"""How every HTML page is made: from a template of this package, with all text in it escaped."""

import base64
import hashlib

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def page_environment() -> Environment:
    """Escapes what it is given, and refuses a name that a template uses and nobody gave."""
    return Environment(
        loader=PackageLoader("pairbridge.pipelines", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page_script(environment: Environment, *names: str) -> dict[str, str]:
    """The scripts of a page as one, for its template: `script`, and the `script_hash` by which the page's
    policy allows it alone.
    """
    script = "\n".join(environment.loader.get_source(environment, name)[0] for name in names)
    digest = hashlib.sha256(script.encode()).digest()
    return {"script": Markup(script), "script_hash": base64.b64encode(digest).decode()}
