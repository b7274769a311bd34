"""Kettle: stove kettles with a bow handle and electric ones on a base, of steel, enamel, plastic or glass."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.materials.glass_and_liquids import drink
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling import flat_prints as prints
from pairbridge.datagen.blender.modelling.meshes import Array, Mesh
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.scene import palette

# Radius over height of the body, foot to lid, in units of the body's height.
STYLES: dict[str, tuple[tuple[float, float], ...]] = {
    "dome": ((0.5, 0.0), (0.56, 0.06), (0.58, 0.2), (0.52, 0.45), (0.36, 0.66), (0.24, 0.74)),
    "squat": ((0.52, 0.0), (0.6, 0.08), (0.62, 0.24), (0.57, 0.42), (0.42, 0.54), (0.26, 0.58)),
    "cone": ((0.54, 0.0), (0.57, 0.04), (0.5, 0.3), (0.38, 0.62), (0.26, 0.82)),
    "jug": ((0.36, 0.0), (0.37, 0.05), (0.36, 0.4), (0.32, 0.75), (0.29, 0.95)),
    "column": ((0.33, 0.0), (0.335, 0.04), (0.335, 0.5), (0.33, 0.95)),
    "gooseneck": ((0.4, 0.0), (0.42, 0.04), (0.37, 0.35), (0.28, 0.62), (0.26, 0.66)),
}
ELECTRIC = ("jug", "column")


@dataclass(frozen=True, slots=True, kw_only=True)
class KettleParams:
    """Lengths in units of about the height. `base` is an electric one's plate; `window` a water gauge."""

    style: str
    profile: tuple[tuple[float, float], ...]
    handle_height: float
    handle_width: float
    spout_reach: float
    knob: str
    base: bool
    window: bool
    rings: int
    fill: float
    turn_rad: float
    body: Material
    lid: Material
    grip: Material
    trim: Material
    water: Material
    gauge: Material


def kettle_rand(rng: np.random.Generator) -> KettleParams:
    shape, extras, skin = rng.spawn(3)
    style = sorted(STYLES)[shape.integers(len(STYLES))]
    stout = shape.uniform(0.9, 1.1)
    electric = style in ELECTRIC
    body = _body_rand(skin, style)
    grip = material_rand(
        skin, ("plastic", "plastic", "plastic", "wood", "rubber") if not electric else ("plastic",)
    )
    if grip.kind == "plastic" and skin.uniform() < 0.75:
        grip = replace(grip, colour=palette.hsv(0.1, 0.03, float(skin.choice([0.17, 0.2, 0.9]))), bump=0.0004)
    trim = replace(material_rand(skin, ("metal",)), bump=0.0, wear=0.0)
    return KettleParams(
        style=style,
        profile=tuple((float(r * stout), z) for r, z in STYLES[style]),
        handle_height=shape.uniform(0.34, 0.5),
        handle_width=shape.uniform(0.03, 0.045),
        spout_reach=shape.uniform(0.2, 0.3),
        knob=str(extras.choice(["ball", "button", "ring"])),
        base=electric,
        window=electric and body.transmission == 0 and extras.uniform() < 0.5,
        rings=int(extras.integers(0, 3)),
        fill=extras.uniform(0.35, 0.75),
        turn_rad=extras.uniform(-0.5, 0.5),
        body=body,
        lid=trim if body.transmission > 0 or extras.uniform() < 0.2 else body,
        grip=grip,
        trim=trim,
        water=drink(skin, "water"),
        gauge=material_rand(skin, ("pane",)),
    )


def _body_rand(rng: np.random.Generator, style: str) -> Material:
    """Steel, enamel in white, black, cream or a colour; electric ones are also of plastic or glass."""
    kind = rng.uniform()
    if style in ELECTRIC and kind < 0.2:
        return replace(material_rand(rng, ("glass",)), finish="clear", roughness=0.0, bump=0.0)
    if style in ELECTRIC and kind < 0.55:
        return replace(
            material_rand(rng, ("plastic",)),
            colour=palette.hsv(0.1, 0.03, float(rng.choice([0.17, 0.92, 0.93]))),
            bump=0.0002,
        )
    if kind < 0.65:
        steel = material_rand(rng, ("metal",))
        return replace(
            steel,
            colour=palette.METALS["steel"],
            finish=str(rng.choice(["polished", "brushed"])),
            wear=0.0,
            bump=0.0002,
        )
    enamel = material_rand(rng, ("car_paint", "painted"))
    enamel = replace(enamel, wear=0.0, roughness=rng.uniform(0.1, 0.4), bump=0.0002)
    if rng.uniform() < 0.55:
        return replace(
            enamel, colour=palette.hsv(0.11, rng.uniform(0, 0.15), float(rng.choice([0.93, 0.88, 0.17, 0.4])))
        )
    return enamel


def kettle(p: KettleParams) -> list[Part]:
    lift = 0.07 if p.base else 0.0
    outer = curves.resampled(curves.spline(p.profile, 90), 72)
    result = [*_vessel(p, outer), *_lid(p, outer)]
    result += _loop(p, outer) if p.style in ELECTRIC or p.style == "gooseneck" else _bow(p, outer)
    result.append(_spout(p, outer))
    if p.window:
        wall = prints.turned(outer, 0.42)
        pane = prints.printed(wall, [prints.patch(0.05, 0.42)], 4)
        marks = [prints.patch(0.03, 0.004, 0.0, -0.16 + 0.08 * k) for k in range(5)]
        for part in (Part("gauge", pane, p.gauge), Part("marks", prints.printed(wall, marks, 5), p.trim)):
            result.append(Part(part.name, part.mesh.turned("z", 0.5), part.material))
    result = [Part(part.name, part.mesh.moved(z=lift), part.material) for part in result]
    if p.base:
        r = 1.12 * outer[0, 0]
        plate = curves.rounded(
            [(0, 0), (r - 0.02, 0), (r, 0.012), (r, 0.045), (0.94 * r, 0.06), (0, 0.062)], 0.012
        )
        result.append(Part("base", solids.lathe(plate, 96), p.grip))
        cable = curves.spline(
            [(0, r - 0.02, 0.02), (0.05, r + 0.12, 0.016), (0.3, r + 0.2, 0.016), (0.5, r + 0.05, 0.016)], 40
        )
        result.append(Part("cable", solids.tube(cable, 0.015, segments=14), p.grip))
    return [Part(part.name, part.mesh.turned("z", p.turn_rad), part.material) for part in result]


def _vessel(p: KettleParams, outer: Array) -> list[Part]:
    """The body; of glass it has an inside, and water in it."""
    foot = curves.rounded(
        [(0, 0.01), (0.86 * outer[0, 0], 0.006), (0.92 * outer[0, 0], 0), (outer[0, 0], 0), outer[2]], 0.012
    )[:-1]
    top = outer[-1]
    result = []
    if p.body.transmission > 0:
        wall = 0.014
        inner = (outer - np.array([wall, 0.0]))[outer[:, 1] > 0.05]
        rim = [top + np.array([-0.5 * wall, 0.006])]
        base = [(0.9 * inner[0, 0], 0.045), (0.0, 0.044)]
        profile = np.vstack([foot, outer[2:], rim, inner[::-1], base])
        level = p.fill * top[1]
        wet = inner[inner[:, 1] < level] + np.array([0.3 * wall, 0.0])
        water = np.vstack(
            [
                [(0, 0.041), (0.9 * wet[0, 0], 0.041)],
                wet,
                [(wet[-1, 0] - 0.02, wet[-1, 1] - 0.003), (0, wet[-1, 1] - 0.004)],
            ]
        )
        result.append(Part("water", solids.lathe(water, 96), p.water))
        band = solids.lathe(
            curves.rounded(
                [
                    (0, 0.004),
                    (outer[0, 0] + 0.004, 0.004),
                    (outer[2, 0] + 0.006, 0.06),
                    (0.9 * outer[0, 0], 0.06),
                    (0, 0.03),
                ],
                0.006,
            ),
            96,
        )
        result.append(Part("band", band, p.trim))
    else:
        profile = np.vstack([foot, outer[2:], [(0.5 * top[0], top[1] + 0.004), (0, top[1] + 0.004)]])
    result.append(Part("body", solids.lathe(profile, 112), p.body))
    for k in range(p.rings):
        z = 0.03 + 0.05 * k
        radius = float(np.interp(z, outer[:, 1], outer[:, 0]))
        result.append(Part("ring", solids.torus(radius - 0.001, 0.006, segments=96).moved(z=z), p.trim))
    return result


def _lid(p: KettleParams, outer: Array) -> list[Part]:
    r, z = float(outer[-1, 0]), float(outer[-1, 1])
    dome = 0.02 if p.style in ELECTRIC else 0.06
    profile = [
        (0, z - 0.01),
        (r + 0.006, z - 0.008),
        (r + 0.008, z + 0.006),
        (r - 0.006, z + 0.014),
        (0.6 * r, z + 0.014 + 0.7 * dome),
        (0, z + 0.016 + dome),
    ]
    top = z + 0.012 + dome
    result = [Part("lid", solids.lathe(curves.rounded(profile, 0.012), 96), p.lid)]
    if p.style in ELECTRIC and p.knob != "ball":
        bar = solids.box(0.1, 0.16, 0.03, 0.012, steps=4).moved(0.4 * r, 0.0, top + 0.004)
        return [*result, Part("button", bar, p.grip)]
    if p.knob == "ring":
        ring = solids.torus(0.042, 0.011, segments=40).turned("x", math.pi / 2).moved(z=top + 0.045)
        return [*result, Part("knob", ring, p.grip)]
    wide, high = (0.05, 0.085) if p.knob == "ball" else (0.07, 0.05)
    knob = curves.spline(
        [(0.022, -0.006), (0.018, 0.015), (wide, 0.6 * high), (0.75 * wide, 0.92 * high), (0.0, high)], 30
    )
    return [*result, Part("knob", solids.lathe(np.vstack([[(0, -0.006)], knob]), 48).moved(z=top), p.grip)]


def _spout(p: KettleParams, outer: Array) -> Part:
    """Over the side at -x: a short cone, a beak at the rim of electric ones, or a long thin neck."""
    z0 = {"jug": 0.72, "column": 0.74, "gooseneck": 0.1}.get(p.style, 0.36 * outer[-1, 1] / 0.7)
    start = float(np.interp(z0, outer[:, 1], outer[:, 0]))
    end = outer[-1, 1]
    if p.style == "gooseneck":
        points = [
            (-start + 0.03, z0),
            (-start - 0.08, z0 + 0.02),
            (-start - 0.17, z0 + 0.16),
            (-start - 0.14, z0 + 0.36),
            (-start - 0.2, end + 0.02),
            (-start - 0.3, end - 0.03),
        ]
        path = curves.in_plane(curves.spline(points, 60), "xz")
        return Part(
            "spout",
            solids.pipe(
                path, np.interp(np.linspace(0, 1, 60), [0, 0.3, 1], [0.05, 0.034, 0.024]), 0.006, depth=8
            ),
            p.body,
        )
    if p.style in ELECTRIC:
        top = float(outer[-1, 0])
        points = [(-start + 0.07, z0), (-start - 0.02, z0 + 0.1), (-top - 0.085, end - 0.005)]
        path = curves.in_plane(curves.spline(points, 30), "xz")
        width = np.interp(np.linspace(0, 1, 30), [0, 0.5, 1], [0.03, 0.065, 0.07])
        section = curves.superellipse(36, 1.0, 0.8, 2.0)
        material = p.trim if p.body.transmission > 0 else p.body
        return Part("spout", solids.pipe(path, width, 0.008, depth=10, section=section), material)
    reach = p.spout_reach
    points = [
        (-start + 0.06, z0 - 0.04),
        (-start - 0.3 * reach, z0 + 0.05),
        (-start - 0.62 * reach, z0 + 0.2),
        (-start - 0.75 * reach, z0 + 0.32),
    ]
    path = curves.in_plane(curves.spline(points, 40), "xz")
    width = np.interp(np.linspace(0, 1, 40), [0, 0.4, 1], [0.115, 0.075, 0.05])
    return Part("spout", solids.pipe(path, width, 0.008, depth=12, section=curves.circle(36)), p.body)


def _bow(p: KettleParams, outer: Array) -> list[Part]:
    """Handle over the lid from spout side to back, a thicker grip in its middle on two struts."""
    z = 0.86 * float(outer[-1, 1])
    r = float(np.interp(z, outer[:, 1], outer[:, 0]))
    top = float(outer[-1, 1]) + p.handle_height
    points = [
        (-r + 0.01, z),
        (-r - 0.05, z + 0.12),
        (-0.75 * r - 0.05, top - 0.08),
        (0.0, top),
        (0.75 * r + 0.05, top - 0.08),
        (r + 0.05, z + 0.12),
        (r - 0.01, z),
    ]
    path = curves.in_plane(curves.spline(points, 80), "xz")
    wire = solids.tube(path, 1.0, section=curves.superellipse(16, 0.016, 0.01, 3.0), up=(0.0, 1.0, 0.0))
    grip = solids.tube(
        path[24:56],
        p.handle_width
        * np.interp(np.linspace(0, 1, 32), [0, 0.06, 0.5, 0.94, 1], [0.55, 0.85, 1.0, 0.85, 0.55]),
        section=curves.superellipse(24, 1.0, 0.85, 2.4),
        up=(0.0, 1.0, 0.0),
    )
    ears = [solids.ellipsoid(0.03, 0.03, 0.03, 20).moved(s * (r - 0.005), 0, z) for s in (-1, 1)]
    return [
        Part("strut", wire, p.trim),
        Part("grip", grip, p.grip),
        *(Part("ear", ear, p.trim) for ear in ears),
    ]


def _loop(p: KettleParams, outer: Array) -> list[Part]:
    """Handle behind the body at +x, from the lid down."""
    end = float(outer[-1, 1])
    high, low = 0.93 * end, 0.16 * end
    a, b = (float(np.interp(z, outer[:, 1], outer[:, 0])) for z in (high, low))
    if p.style == "gooseneck":
        low = 0.5 * end
        b = float(np.interp(low, outer[:, 1], outer[:, 0]))
    reach = max(a, b) + 0.2
    points = [
        (a - 0.02, high),
        (a + 0.1, high + 0.02),
        (reach, 0.8 * high + 0.2 * low),
        (reach - 0.01, 0.35 * high + 0.65 * low),
        (b + 0.06, low + 0.02),
        (b - 0.02, low),
    ]
    path = curves.in_plane(curves.spline(points, 60), "xz")
    size = p.handle_width * np.interp(
        np.linspace(0, 1, 60), [0, 0.2, 0.5, 0.85, 1], [1.1, 1.0, 0.95, 0.8, 0.8]
    )
    return [Part("handle", _grip(path, size), p.grip)]


def _grip(path: Array, size: Array) -> Mesh:
    return solids.tube(path, size, section=curves.superellipse(24, 1.15, 0.75, 2.8), up=(0.0, 1.0, 0.0))
