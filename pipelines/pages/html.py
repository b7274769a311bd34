"""How every HTML page is made: from a template of this package, with all text in it escaped."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def page_environment() -> Environment:
    """Escapes what it is given, and refuses a name that a template uses and nobody gave."""
    return Environment(
        loader=PackageLoader("pairbridge.pipelines", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
