"""Reflectances of the embedded families, without rendering, against what real surfaces have.

Every part counts by its area: three quarters of it with its material's colour and a quarter with the
accent, pictures with their pixels. Metals are told apart (reflectance at normal incidence), and so is what
light passes through. Writes docs/benchmarks/albedo.md. Run: `python -m benchmarks.albedo [objects]`.
"""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np

from pairbridge.datagen.blender.families import FAMILIES, object_parts
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import CLASSES, implausible
from pairbridge.datagen.blender.materials.prints import print_pixels
from pairbridge.datagen.blender.modelling.meshes import Mesh
from pairbridge.datagen.imaging.colour import srgb_decode
from pairbridge.datagen.scene import palette

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "albedo.md"
# Luminance of a reflectance, at whose ends the published range lies.
EDGES = (palette.DARKEST, 0.05, 0.1, 0.2, 0.4, 0.6, palette.LIGHTEST)
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
NEUTRAL = 0.2
"""HSV saturation, as displayed, below which a surface counts as white, grey or black."""


def area(mesh: Mesh) -> float:
    """Of all faces, each as the fan about its first corner."""
    first, following = mesh.corners()
    a, b, c = (mesh.vertices[mesh.loops[index]] for index in (first, np.arange(len(mesh.loops)), following))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def reflectances(material: Material) -> tuple[np.ndarray, np.ndarray]:
    """Colours (N, 3), linear, that the material shows, and how much of it is each (N,), 1 in all."""
    if material.print is None:
        return np.array([material.colour, material.accent]), np.array([0.75, 0.25])
    pixels = srgb_decode(print_pixels(material.print)[::16, ::16].reshape(-1, 3) / 255.0)
    return pixels, np.full(len(pixels), 1 / len(pixels))


def family_figures(family: str, count: int) -> dict[str, float | np.ndarray | list[str]]:
    """Shares of the area of `count` objects of a family."""
    colours, weights = [np.zeros((0, 3))], [np.zeros(0)]
    metal = through = whole = 0.0
    outside: list[str] = []
    for seed in range(count):
        for part in object_parts(family, seed):
            size = area(part.mesh)
            whole += size
            outside += [f"{part.name} of seed {seed}: {word}" for word in implausible(part.material)]
            if CLASSES[part.material.kind] == "metal":
                metal += size
            elif part.material.transmission > 0:
                through += size
            else:
                found, shares = reflectances(part.material)
                colours.append(found)
                weights.append(shares * size)
    colour, weight = np.concatenate(colours), np.concatenate(weights)
    light = np.clip(colour @ LUMINANCE, EDGES[0], EDGES[-1])
    histogram, _ = np.histogram(light, EDGES, weights=weight)
    low = np.array([palette.saturation(tuple(one)) < NEUTRAL for one in colour], bool)
    return {
        "histogram": histogram / max(weight.sum(), 1e-12),
        "neutral": float(weight[low].sum() / max(weight.sum(), 1e-12)),
        "metal": metal / whole,
        "through": through / whole,
        "darkest": float(colour.min()),
        "lightest": float(colour.max()),
        "outside": outside,
    }


def page(count: int) -> str:
    """The table as Markdown."""
    head = [f"{low:g} to {high:g}" for low, high in pairwise(EDGES)]
    lines = [
        "# Reflectances of the embedded families",
        "",
        f"`python -m benchmarks.albedo {count}`: {count} objects a family, by area, in percent. The columns",
        "of numbers are the luminance of the reflectance of dielectrics; the published range is",
        f"{EDGES[0]:g} (charcoal) to {EDGES[-1]:g} (fresh snow). *Neutral* is the share of them with a",
        f"displayed saturation below {NEUTRAL:g}. *Outside* counts parts of a material that no real surface",
        "has. Sources stand in `datagen/scene/palette.py`.",
        "",
        "| family | "
        + " | ".join(head)
        + " | neutral | metal | light passes | channels from | to | outside |",
        "|---|" + "---|" * (len(head) + 6),
    ]
    for family in FAMILIES:
        found = family_figures(family, count)
        cells = [*found["histogram"], found["neutral"], found["metal"], found["through"]]
        ends = f"{found['darkest']:.3f} | {found['lightest']:.3f} | {len(found['outside'])}"
        lines.append(f"| {family} | " + " | ".join(f"{100 * cell:.0f}" for cell in cells) + f" | {ends} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
    print(PAGE.read_text())
