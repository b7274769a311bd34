"""What a part is made of, as a plain description.

Nothing here needs Blender, so a family's parameters can be drawn, compared and tested anywhere; `shading`
turns them into Blender materials. Lengths are in object units (an object is about one unit large).
Reflectances are drawn by `palette`, which names their sources.
"""

from dataclasses import dataclass

from pairbridge.datagen.blender.materials.prints import Print
from pairbridge.datagen.scene.palette import RGB


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoration:
    """A second colour laid over a surface in a pattern.

    Around an axis (`around`) u is the angle about the part's z times `count`, else its x times `count`; v is
    its z times `rows`. `share` is the painted fraction; outside [low, high] in z nothing is painted. A
    `label` is the picture `print`, once, between the two heights: 1 / `count` of the way around with its
    middle at the front (-y), or 1 / `count` wide.
    """

    kind: str
    colour: RGB
    count: float
    rows: float
    share: float
    low: float = -100.0
    high: float = 100.0
    around: bool = True
    print: Print | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One material. `scale` is its texture's features per unit, `bump` its relief in units, `offset` where
    its noise starts.

    `colour` and `accent` are linear reflectances, of metals at normal incidence; of what light passes through
    (`transmission` above 0) `colour` is the share that passes. `edges` in [0, 1] is how far convex edges are
    worn down to `accent`, `dirt` in [0, 1] how much dust lies in hollows. `scatter` is the mean free path of
    light beneath the surface, 0 for none; `translucent` the share of light that comes through a thin sheet.
    `print` is a picture projected from the sides, one unit / `scale` large.
    """

    kind: str
    colour: RGB
    accent: RGB
    roughness: float
    finish: str = "plain"
    scale: float = 10.0
    bump: float = 0.0
    coat: float = 0.0
    coat_roughness: float = 0.15
    wear: float = 0.0
    edges: float = 0.0
    dirt: float = 0.0
    transmission: float = 0.0
    ior: float = 1.5
    scatter: float = 0.0
    translucent: float = 0.0
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    decoration: Decoration | None = None
    print: Print | None = None
