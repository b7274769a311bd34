"""Mannequin: a posed figure, as a jointed wooden lay figure, a shop dummy, or a dummy in clothes.

It stands in for people where no scans are at hand, and is called what it is.
"""

from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.families import mannequin_body, mannequin_clothes, sculpted_head
from pairbridge.datagen.blender.families.lay_figure import lay_figure
from pairbridge.datagen.blender.families.mannequin_body import Figure
from pairbridge.datagen.blender.families.mannequin_clothes import Outfit
from pairbridge.datagen.blender.families.mannequin_pose import HEAD, pose_rand
from pairbridge.datagen.blender.families.sculpted_head import HeadParams, head_rand
from pairbridge.datagen.blender.materials.decorations import decorated, decoration_rand
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.implicit import surface, waves_rand
from pairbridge.datagen.blender.modelling.meshes import Mesh
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.scene import palette

STYLES = ("lay", "shop", "clothed", "clothed", "clothed", "clothed", "clothed", "clothed")


@dataclass(frozen=True, slots=True, kw_only=True)
class MannequinParams:
    style: str
    figure: Figure
    face: HeadParams | None
    outfit: Outfit
    hat: bool
    stand: str
    skin: Material
    joint: Material
    shirt: Material
    jacket: Material
    trousers: Material
    shoes: Material
    sole: Material
    belt: Material
    hair: Material
    base: Material


def mannequin_rand(rng: np.random.Generator) -> MannequinParams:
    shape, dress, skin, moved = rng.spawn(4)
    style = STYLES[shape.integers(len(STYLES))]
    body = material_rand(skin, ("wood",)) if style == "lay" else _dummy(skin, dressed=style == "clothed")
    shirt, jacket, trousers = _cloth(skin, 0.4), _cloth(skin, 0.0), _cloth(skin, 0.0)
    if skin.uniform() < 0.2:
        jacket = material_rand(skin, ("leather",))
    strands = waves_rand(shape, 4, 0.45, (1.0, 1.0, 4.0))
    has_face = style == "clothed" or shape.uniform() < 0.6
    return MannequinParams(
        style=style,
        figure=Figure(
            pose=pose_rand(moved),
            build=shape.uniform(0.9, 1.15),
            bust=float(shape.choice([0.0, 1.0])) * shape.uniform(0.4, 1.0),
        ),
        face=head_rand(shape, strands) if has_face else None,
        outfit=_outfit(dress),
        hat=bool(dress.uniform() < 0.15),
        stand="rod" if style == "lay" else str(dress.choice(["plate", "none", "none"])),
        skin=body,
        joint=material_rand(skin, ("wood", "metal")) if style == "lay" else body,
        shirt=shirt,
        jacket=jacket,
        trousers=trousers,
        shoes=material_rand(skin, ("leather", "leather", "fabric")),
        sole=replace(material_rand(skin, ("rubber",)), wear=0.0)
        if skin.uniform() < 0.6
        else replace(material_rand(skin, ("rubber",)), colour=palette.hsv(0.1, 0.04, 0.86), wear=0.2),
        belt=material_rand(skin, ("leather",)),
        hair=_hair(skin),
        base=material_rand(skin, ("metal", "painted", "wood", "stone")),
    )


def _outfit(rng: np.random.Generator) -> Outfit:
    jacket = rng.uniform() < 0.3
    bottom = str(rng.choice(["trousers", "trousers", "trousers", "skirt"]))
    sleeves = float(rng.choice([0.96, 0.96, 0.3, 0.36, 0.75, 0.0]))
    return Outfit(
        sleeves=0.96 if jacket else sleeves,
        # Tucked in under a jacket or a skirt, else often hanging over the belt.
        hem=0.072 if jacket or bottom == "skirt" or rng.uniform() < 0.35 else rng.uniform(-0.06, -0.01),
        collar="shirt" if jacket else str(rng.choice(["shirt", "band", "hood", "none"])),
        ease=rng.uniform(0.006, 0.011),
        jacket=jacket,
        jacket_hem=rng.uniform(-0.09, -0.02) if rng.uniform() < 0.8 else rng.uniform(-0.2, -0.12),
        neckline=float(rng.choice([0.0, 0.0, 0.06, 0.1])),
        bottom=bottom,
        legs=float(rng.choice([0.96, 0.96, 0.97, 0.42, 0.8])),
        flare=rng.uniform(0.9, 1.2) if bottom == "trousers" else rng.uniform(1.2, 1.8),
        skirt_length=rng.uniform(0.8, 1.75),
        creases=rng.uniform(0.003, 0.0065),
        waves=waves_rand(rng, 5, 0.11, (1.2, 1.2, 0.9)),
        toes=rng.uniform(0.088, 0.1),
    )


def _cloth(rng: np.random.Generator, patterned: float) -> Material:
    """Cloth as clothes have it: the weave of a shirt cannot be seen from where a whole figure is seen."""
    stuff = material_rand(rng, ("fabric",))
    pick = rng.uniform()
    if pick < 0.55:
        value = float(rng.choice([0.16, 0.22, 0.3, 0.5, 0.72, 0.88, 0.93]))
        colour = palette.hsv(rng.choice([0.08, 0.6]), rng.uniform(0.02, 0.12), value)
    elif pick < 0.8:
        colour = palette.hsv(rng.uniform(0.57, 0.65), rng.uniform(0.25, 0.6), rng.uniform(0.22, 0.6))
    else:
        colour = stuff.colour
    stuff = replace(
        stuff, colour=colour, accent=palette.shaded(colour, 0.8), scale=rng.uniform(180, 320), bump=0.0008
    )
    if rng.uniform() < patterned:
        pattern = decoration_rand(
            rng, radius=0.09, low=-1.0, high=2.0, kinds=("stripes", "bands", "checks", "dots")
        )
        count = rng.uniform(25, 90)
        stuff = decorated(stuff, replace(pattern, count=count, rows=count, around=False))
    return stuff


def _dummy(rng: np.random.Generator, *, dressed: bool) -> Material:
    """What shop dummies are moulded from: white, grey, black, or the tones of skin; wax figures have
    its depth, too."""
    stuff = material_rand(rng, ("plastic", "painted"))
    toned = rng.uniform() < (0.8 if dressed else 0.3)
    figure = material_rand(rng, ("skin",))
    if toned:
        if dressed and rng.uniform() < 0.75:
            return figure
        rough, shade = rng.uniform(0.4, 0.55), palette.shaded(figure.colour, 0.9)
        stuff = replace(stuff, colour=figure.colour, accent=shade, roughness=rough)
    else:
        colour = palette.hsv(rng.choice([0.1, 0.6]), 0.03, float(rng.choice([0.95, 0.95, 0.6, 0.22])))
        stuff = replace(stuff, colour=colour, accent=palette.shaded(colour, 0.8))
    return replace(stuff, wear=0.0, edges=0.0, bump=min(stuff.bump, 0.0005))


def _hair(rng: np.random.Generator) -> Material:
    hue, saturation, value = (
        (0.07, 0.45, 0.19), (0.07, 0.45, 0.19), (0.07, 0.5, 0.26), (0.06, 0.55, 0.34), (0.09, 0.45, 0.68),
        (0.04, 0.65, 0.42), (0.1, 0.05, 0.7),
    )[rng.integers(7)]  # fmt: skip
    colour = palette.hsv(hue, saturation, value)
    stuff = material_rand(rng, ("fabric",))
    return replace(
        stuff, finish="felt", colour=colour, accent=palette.shaded(colour, 0.7), roughness=0.6, bump=0.001
    )


def mannequin(p: MannequinParams) -> list[Part]:
    parts = lay_figure(p.figure, p.skin, p.joint) if p.style == "lay" else _dummy_parts(p)
    lowest = min(float(part.mesh.vertices[:, 2].min()) for part in parts)
    parts = [Part(part.name, part.mesh.moved(z=-lowest), part.material) for part in parts]
    return parts + _stand(p, -lowest, np.concatenate([part.mesh.vertices for part in parts]))


def _dummy_parts(p: MannequinParams) -> list[Part]:
    f = p.figure
    limbs = [(j.hip, j.knee, j.ankle, j.shoulder, j.elbow, j.wrist) for j in f.sides().values()]
    places = np.array([*(place for limb in limbs for place in limb), f.at(0, 0, 0.4)])
    # Most of what is dressed cannot be seen.
    cell = 0.0095 if p.style == "clothed" else 0.007
    body = surface(lambda q: mannequin_body.body(q, f), places.min(0) - 0.1, places.max(0) + 0.1, cell)
    parts = [Part("body", body, p.skin)]
    for side, j in f.sides().items():
        parts += [Part("hand", piece, p.skin) for piece in mannequin_body.hand(j, side)]
        if p.style == "shop":
            parts.append(Part("foot", mannequin_body.foot(j), p.skin))
    parts += [Part(name, _on_neck(f, mesh), material) for name, mesh, material in _head(p)]
    if p.style == "shop":
        return parts
    stuff = {
        "shirt": p.shirt, "collar": p.shirt, "jacket": p.jacket, "lapels": p.jacket, "button": p.belt,
        "trousers": p.trousers, "skirt": p.trousers, "belt": p.belt, "shoe": p.shoes, "sole": p.sole,
    }  # fmt: skip
    worn = [
        *mannequin_clothes.tops(f, p.outfit),
        *mannequin_clothes.bottoms(f, p.outfit),
        *mannequin_clothes.shoes(f, p.outfit),
    ]
    return parts + [Part(name, mesh, stuff[name]) for name, mesh in worn]


def _on_neck(f: Figure, mesh: Mesh) -> Mesh:
    turned = mesh.scaled(HEAD, HEAD, HEAD).at_rest().turned("x", f.pose.head_nod)
    return turned.turned("z", f.pose.head_turn + f.pose.twist).moved(*f.head_centre())


def _head(p: MannequinParams) -> list[tuple[str, Mesh, Material]]:
    """The head around the origin in half heights of it."""
    face = p.face
    if face is None:
        return [("head", solids.ellipsoid(0.78, 0.95, 1.0, 48), p.skin)]
    result = [
        (
            "head",
            surface(lambda q: sculpted_head.face(q, face), (-1.1, -1.4, -1.2), (1.1, 1.3, 1.3), 0.065),
            p.skin,
        )
    ]
    if p.style != "clothed":
        return result
    if face.hair != "none":
        hair = surface(lambda q: sculpted_head.hair(q, face), (-1.3, -1.2, -2.6), (1.3, 1.7, 1.7), 0.055)
        result.append(("hair", hair, p.hair))
    if p.hat:
        profile = [
            (0, 0.5),
            (0.9, 0.5),
            (1.5, 0.38),
            (1.55, 0.43),
            (0.95, 0.66),
            (0.88, 1.25),
            (0.68, 1.5),
            (0, 1.45),
        ]
        hat = solids.lathe(curves.rounded(profile, 0.14), 56).scaled(1.0, 1.12, 1.0).moved(y=0.1)
        result.append(("hat", hat, p.trousers))
    return result


def _stand(p: MannequinParams, raised: float, figure: np.ndarray) -> list[Part]:
    if p.stand == "none":
        return []
    plate = solids.lathe(curves.rounded([(0, -0.014), (0.15, -0.014), (0.15, 0.0), (0, 0.0)], 0.005), 72)
    if p.stand == "plate":
        # Under the foot, or the feet, that it holds: a runner's are not below its hips.
        soles = figure[figure[:, 2] < 0.006]
        x, y = ((soles.min(axis=0) + soles.max(axis=0)) / 2)[:2]
        plate = plate.moved(x=float(x), y=float(y))
    result = [Part("plate", plate, p.base)]
    if p.stand == "rod":
        top = p.figure.at(0.0, 0.02, 0.0) + np.array([0.0, 0.0, raised])
        foot = np.array([0.0, 0.11, 0.0])
        bend = np.array([0.0, 0.12, 0.8 * float(top[2])])
        rod = curves.rounded([foot, bend, top], 0.06, steps=6)
        result.append(Part("rod", solids.tube(curves.resampled(rod, 30), 0.007, segments=14), p.base))
    return result
