"""The page's own markup, styles and scripts, which lie in `templates/`."""

from importlib.resources import files


def page_file(name: str) -> str:
    """The text of a file of `templates/`."""
    return (files("pairbridge.pipelines") / "templates" / name).read_text()
