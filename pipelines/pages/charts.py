"""Charts inside HTML pages: drawn by Matplotlib in the page's own colours and font, wide and narrow.

A chart belongs to its page as elements, not as an image, so that its ink is the page's on light and on dark,
and its letters stay legible and can be selected.
"""

import io
import re
from collections.abc import Callable
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Figures are drawn without a display, and a page must not depend on the fonts of the machine that reads it.
matplotlib.use("svg")
import matplotlib.pyplot as plt

INK = "#78716c"
ON_SERIES = "#fefefe"
"""Of letters on a colour of SERIES."""
IDLE = ("#a8a29e", "#d6d3d1", "#b91c1c")
"""Two greys and a red: time that made nothing."""
SERIES = ("#0d9488", "#b45309", "#7c3aed", "#db2777", "#2563eb", "#4d7c0f", "#0e7490", "#a16207")
# What a page has for each of these, see report.css.
_OF_PAGE = {INK: "currentColor", ON_SERIES: "var(--on-series)"} | {
    colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, start=1)
}
# Of a figure, in inches: a phone of 390 pixels shows a narrow one larger than life, and its letters too.
WIDE_IN, NARROW_IN = 8.4, 3.9
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


def chart(name: str, about: str, draw: Callable[[bool], Figure]) -> Markup:
    """Elements of a chart: `draw(narrow)` gives its figure, which is closed; `about` says in words what it
    shows; `name` is its own on the page. Equal figures give equal text.
    """
    versions = "".join(
        f'<div class="{width}">{_inline(draw(width == "narrow"), f"{name}-{width}", about)}</div>'
        for width in ("wide", "narrow")
    )
    return Markup(f'<div class="chart">{versions}</div>')


def quiet_axes(axes: Axes) -> None:
    """Two spines, and a faint grid."""
    axes.tick_params(colors=INK, which="both")
    axes.grid(color=INK, alpha=0.2, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)


def _inline(figure: Figure, name: str, about: str) -> str:
    buffer = io.BytesIO()
    # Without a date, and with ids from a fixed salt, equal runs give equal pages.
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    plt.close(figure)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(buffer.getvalue())
    _only_what_is_drawn(root)
    for size in ("width", "height"):
        del root.attrib[size]
    text = ElementTree.tostring(root, encoding="unicode")
    for colour, of_page in _OF_PAGE.items():
        text = text.replace(colour, of_page)
    # The page's font, at the figure's size.
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(about)}" ', 1)


def _only_what_is_drawn(root: ElementTree.Element) -> None:
    """Take out metadata, a style sheet that would be the whole page's, and ids that nothing refers to."""
    wanted = set(re.findall(r"#([\w-]+)", ElementTree.tostring(root, encoding="unicode")))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
        if parent.get("id") not in wanted:
            parent.attrib.pop("id", None)
