"""Hand tool: a hammer, a screwdriver, a spanner, pliers or a paintbrush, lying as on a bench."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.implicit import bone, common, merged, surface
from pairbridge.datagen.blender.modelling.meshes import Mesh, loft
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.scene import palette

Array = np.ndarray
TOOLS = ("hammer", "screwdriver", "spanner", "pliers", "paintbrush")


@dataclass(frozen=True, slots=True, kw_only=True)
class HandToolParams:
    """Lengths in units of the tool, which lies along x with its handle towards -x. `opening` is the angle
    between the legs of pliers."""

    tool: str
    handle_length: float
    girth: float
    swell: tuple[float, ...]
    flutes: int
    head: float
    claw: bool
    opening: float
    tip: float
    paint: float
    hairs: tuple[float, ...]
    grip: bool
    turn_rad: float
    steel: Material
    handle: Material
    accent: Material
    bristle: Material
    wet: Material


def hand_tool_rand(rng: np.random.Generator) -> HandToolParams:
    shape, extras, skin = rng.spawn(3)
    tool = TOOLS[shape.integers(len(TOOLS))]
    steel = _steel(skin)
    handles = {
        "hammer": ("wood", "wood", "painted", "rubber"),
        "screwdriver": ("plastic", "plastic", "wood", "rubber"),
        "paintbrush": ("wood", "wood", "painted"),
    }.get(tool, ("rubber", "plastic"))
    wet = material_rand(skin, ("painted",))
    return HandToolParams(
        tool=tool,
        handle_length=shape.uniform(0.4, 0.52) if tool == "screwdriver" else shape.uniform(0.62, 0.72),
        girth=shape.uniform(0.85, 1.2),
        swell=tuple(shape.uniform(0.85, 1.12, 5).tolist()),
        flutes=int(shape.choice([0, 6, 8])),
        head=shape.uniform(0.85, 1.15),
        claw=bool(shape.uniform() < 0.6),
        opening=shape.uniform(0.1, 0.5),
        tip=extras.uniform(0.02, 0.034),
        paint=extras.uniform(0.25, 0.6) if extras.uniform() < 0.5 else 0.0,
        hairs=tuple(extras.uniform(-1, 1, 96).tolist()),
        grip=bool(extras.uniform() < 0.5),
        turn_rad=extras.uniform(-math.pi, math.pi),
        steel=steel,
        handle=material_rand(skin, handles),
        accent=material_rand(skin, ("rubber", "plastic")),
        bristle=replace(
            material_rand(skin, ("fabric",)),
            finish="felt",
            colour=palette.hsv(0.09, skin.uniform(0.15, 0.5), skin.choice([0.22, 0.6, 0.85])),
            bump=0.0005,
        ),
        wet=replace(wet, wear=0.0),
    )


def _steel(rng: np.random.Generator) -> Material:
    """Chromed, bare or blackened steel, at times rusty."""
    kind = str(rng.choice(["bare", "bare", "plated", "plated", "black", "rusty"]))
    if kind == "black":
        black = palette.hsv(0.6, 0.05, rng.uniform(0.16, 0.26))
        stuff = material_rand(rng, ("painted",))
        bare = palette.METALS["steel"]
        rough = rng.uniform(0.3, 0.5)
        return replace(stuff, colour=black, accent=bare, roughness=rough, coat=0.0, wear=0.0, edges=0.5)
    if kind == "rusty":
        return material_rand(rng, ("rusty_metal",))
    name = str(rng.choice(["chromium", "nickel"] if kind == "plated" else ["steel", "iron"]))
    stuff = material_rand(rng, ("metal",))
    finish = "satin" if stuff.finish == "hammered" else stuff.finish
    colour = palette.METALS[name]
    return replace(
        stuff, colour=colour, accent=palette.shaded(colour, 0.55), finish=finish, bump=min(stuff.bump, 0.0008)
    )


def hand_tool(p: HandToolParams) -> list[Part]:
    build = {
        "hammer": _hammer,
        "screwdriver": _screwdriver,
        "spanner": _spanner,
        "pliers": _pliers,
        "paintbrush": _paintbrush,
    }[p.tool]
    parts = [Part(part.name, part.mesh.turned("z", p.turn_rad), part.material) for part in build(p)]
    lowest = min(float(part.mesh.vertices[:, 2].min()) for part in parts)
    return [Part(part.name, part.mesh.moved(z=-lowest), part.material) for part in parts]


def _ridged(path: Array, radii: Array, section: Array) -> Mesh:
    return solids.tube(path, radii, section=section, up=(0.0, 0.0, 1.0))


def _hammer(p: HandToolParams) -> list[Part]:
    end = p.handle_length - 0.5
    t = np.linspace(0, 1, 60)
    width = curves.spline(np.column_stack([np.linspace(0, 1, 5), p.swell]), 60)[:, 1]
    # Thick in the hand, slim below the head, and rounded at its end.
    radius = 0.03 * p.girth * width * np.interp(t, (0, 0.35, 0.75, 1), (1.05, 1.0, 0.74, 0.8))
    radius *= np.sqrt(np.clip(1 - np.clip(1 - t * 14, 0, 1) ** 2, 0.03, 1))
    path = curves.line((-0.5, 0, 0), (end, 0, 0), 60)
    result = [Part("handle", _ridged(path, radius, curves.superellipse(28, 1.0, 0.72, 2.4)), p.handle)]
    if p.grip:
        grip = radius[4:28] + 0.003 + 0.0012 * np.cos(np.arange(24) * 2.0)
        result.append(
            Part("grip", _ridged(path[4:28], grip, curves.superellipse(28, 1.0, 0.74, 2.4)), p.accent)
        )
    h = 0.048 * p.head
    # The head lies across the handle, its face towards -y.
    face = [
        (0, -0.17),
        (0.8 * h, -0.17),
        (h, -0.162),
        (h, -0.125),
        (0.7 * h, -0.108),
        (0.66 * h, -0.06),
        (0.98 * h, -0.045),
        (0.98 * h, 0.045),
        (0.7 * h, 0.06),
        (0, 0.065),
    ]
    head = solids.lathe(curves.rounded(face, 0.006), 64).turned("x", -math.pi / 2).moved(x=end - 0.01)
    result.append(Part("head", head, p.steel))
    if p.claw:
        for side in (-1, 1):
            points = [
                (end - 0.01, 0.03, side * 0.016),
                (end - 0.005, 0.1, side * 0.022),
                (end - 0.03, 0.16, side * 0.027),
                (end - 0.075, 0.21, side * 0.03),
            ]
            claw = curves.spline(points, 26)
            thick = np.interp(np.linspace(0, 1, 26), (0, 0.5, 0.9, 1), (0.027, 0.019, 0.008, 0.004))
            result.append(
                Part(
                    "claw", solids.tube(claw, thick, section=curves.superellipse(16, 0.9, 0.75, 4.0)), p.steel
                )
            )
    else:
        peen = [(0, 0.05), (0.7 * h, 0.06), (0.6 * h, 0.1), (0.3 * h, 0.15), (0, 0.165)]
        ball = solids.lathe(curves.rounded(peen, 0.012), 56).turned("x", -math.pi / 2)
        result.append(Part("peen", ball.moved(x=end - 0.01), p.steel))
    return result


def _screwdriver(p: HandToolParams) -> list[Part]:
    length, radius = p.handle_length, 0.066 * p.girth
    knots = np.linspace(0.03, 0.8, 5) * length
    grip = curves.spline(np.column_stack([np.array(p.swell) * radius, knots]), 40)
    profile = np.vstack(
        [
            [(0, -0.004), (0.55 * radius, 0.0)],
            grip,
            [(0.62 * radius, 0.9 * length), (0.5 * radius, length), (0, length)],
        ]
    )
    body = solids.lathe(curves.rounded(profile, 0.012), 96, lobes=(p.flutes, 0.05 if p.flutes else 0.0))
    shaft_end = 1.0
    tip = 0.017 * p.girth
    parts = [("handle", body, p.handle)]
    collar = solids.lathe(
        curves.rounded(
            [(0, 0), (0.57 * radius, 0), (0.57 * radius, 0.035), (0.4 * radius, 0.05), (0, 0.05)], 0.006
        ),
        64,
    )
    parts.append(("collar", collar.moved(z=length - 0.02), p.steel if p.handle.kind == "wood" else p.accent))
    if p.grip and p.handle.kind != "wood":
        at = float(np.interp(0.32 * length, grip[:, 1], grip[:, 0]))
        band = [(at * 0.9, 0.0), (at * 1.06, 0.005), (at * 1.06, 0.12), (at * 0.9, 0.125), (at * 0.9, 0.0)]
        parts.append(("band", solids.lathe(band, 72, start_cap=False, end_cap=False), p.accent))
        parts[-1] = (
            "band",
            solids.torus(at * 0.93, 0.5, section=np.array(curves.rectangle(0.03, 0.2, 0.01))).moved(
                z=0.32 * length
            ),
            p.accent,
        )
    rows = []
    ring = curves.circle(32)
    for z, wide, thick in (
        (length - 0.02, tip, tip),
        (0.9, tip, tip),
        (0.94, 1.05 * tip, 0.9 * tip),
        (0.97, 1.15 * p.tip * 0.6, 0.4 * tip),
        (shaft_end, p.tip * 0.62, 0.18 * tip),
    ):
        section = ring * [1.0, 1.0] if wide == thick else curves.superellipse(32, 1.0, 1.0, 3.5)
        rows.append(np.column_stack([section[:, 0] * wide, section[:, 1] * thick, np.full(32, z)]))
    parts.append(("shaft", loft(np.array(rows)), p.steel))
    # Lying, it leans from the handle's belly down to its tip.
    lean = math.asin(min(0.3, radius / 0.75))
    return [
        Part(name, mesh.moved(z=-0.5).turned("y", math.pi / 2 + lean * 0.75), stuff)
        for name, mesh, stuff in parts
    ]


def _level(q: Array) -> Array:
    return q * np.array([1.0, 1.0, 0.0])


def _spanner(p: HandToolParams) -> list[Part]:
    """A combination spanner: a ring at one end, an open jaw at the other."""
    wide = 0.03 * p.girth

    def flat(q: Array) -> Array:
        level = _level(q)
        shaft = bone(level, (-0.4, 0, 0), (0.38, 0, 0), wide * np.array([1.05, 0.85, 0.85, 1.1]))
        ring = bone(level, (-0.42, 0, 0), (-0.42, 0, 0), 0.078)
        jaw = bone(level, (0.405, 0, 0), (0.405, 0, 0), 0.092)
        whole = merged(merged(shaft, ring, 0.03), jaw, 0.03)
        angle = np.arctan2(q[:, 1], q[:, 0] + 0.42)
        hexed = np.hypot(q[:, 0] + 0.42, q[:, 1]) - 0.046 * (1 + 0.05 * np.cos(12 * angle))
        # The jaw is cut 15 degrees off the shaft.
        c, s = math.cos(0.26), math.sin(0.26)
        x, y = c * (q[:, 0] - 0.4) + s * q[:, 1], -s * (q[:, 0] - 0.4) + c * q[:, 1]
        slot = np.maximum(np.abs(y) - 0.042, -x - 0.02)
        slot = np.minimum(slot, np.hypot(x + 0.012, y) - 0.044)
        return common(common(whole, -hexed, 0.004), -slot, 0.004)

    def body(q: Array) -> Array:
        thick = np.interp(q[:, 0], (-0.42, -0.3, 0.28, 0.4), (0.03, 0.016, 0.016, 0.026))
        return common(flat(q), np.abs(q[:, 2]) - thick, 0.006)

    def sunk(q: Array) -> Array:
        inner = bone(_level(q), (-0.24, 0, 0), (0.24, 0, 0), 0.5 * wide)
        return common(inner, np.abs(q[:, 2]) - 0.0172, 0.002)

    parts = [Part("body", surface(body, (-0.53, -0.12, -0.06), (0.53, 0.12, 0.06), 0.0058), p.steel)]
    if p.grip:
        panel = surface(sunk, (-0.3, -0.05, -0.03), (0.3, 0.05, 0.03), 0.0055)
        parts.append(Part("panel", panel, p.accent))
    return parts


def _pliers(p: HandToolParams) -> list[Part]:
    """Two levers that cross at a pivot; each is one jaw and the opposite handle."""
    half = 0.5 * p.opening
    result = []
    for side in (-1, 1):

        def lever(q: Array, side: int = side) -> Array:
            level = _level(q)
            jaw = bone(level, (0.17, side * 0.012, 0), (0.47, side * 0.016, 0), (0.052, 0.045, 0.03, 0.017))
            jaw = common(jaw, -side * q[:, 1] - 0.0, 0.004)
            hub = bone(level, (0.15, 0, 0), (0.15, 0, 0), 0.058)
            arm = bone(level, (0.13, 0, 0), (0.0, -side * 0.045, 0), (0.045, 0.026))
            arm = merged(
                arm, bone(level, (0.0, -side * 0.045, 0), (-0.2, -side * 0.07, 0), (0.026, 0.019)), 0.02
            )
            shape = merged(merged(jaw, hub, 0.02), arm, 0.02)
            # Towards the hub the levers lie over each other, at half the thickness.
            near = np.hypot(q[:, 0] - 0.15, q[:, 1])
            step = np.where(near < 0.075, side * q[:, 2], -1.0)
            return common(common(shape, np.abs(q[:, 2]) - 0.03, 0.008), step, 0.002)

        body = surface(lever, (-0.25, -0.16, -0.06), (0.52, 0.16, 0.06), 0.0065)
        path = curves.spline(
            [
                (-0.02, -side * 0.048, 0),
                (-0.2, -side * 0.075, 0),
                (-0.36, -side * 0.07, 0),
                (-0.5, -side * 0.05, 0),
            ],
            40,
        )
        t = np.linspace(0, 1, 40)
        thick = 0.029 * p.girth * np.interp(t, (0, 0.06, 0.5, 1), (0.95, 1.15, 0.95, 1.0))
        thick *= np.sqrt(np.clip(1 - np.clip(t * 12 - 11, 0, 1) ** 2, 0.03, 1))
        sleeve = solids.tube(path, thick, section=curves.superellipse(24, 1.0, 0.9, 2.6))
        for name, mesh, stuff in (("lever", body, p.steel), ("sleeve", sleeve, p.handle)):
            moved = mesh.moved(x=-0.15).turned("z", side * half * 0.5).moved(x=0.15)
            result.append(Part(name, moved, stuff))
    rivet = solids.lathe(
        curves.rounded([(0, -0.036), (0.026, -0.036), (0.026, 0.036), (0, 0.036)], 0.005), 40
    )
    return [*result, Part("rivet", rivet.moved(x=0.15), p.steel)]


def _paintbrush(p: HandToolParams) -> list[Part]:
    wide, thick = 0.11 * p.girth, 0.034
    t = np.linspace(0, 1, 70)
    shape = curves.spline(
        [(0, 0.25), (0.05, 0.36), (0.3, 0.3), (0.55, 0.24), (0.8, 0.5), (0.93, 0.92), (1.0, 0.97)], 70
    )
    rows, ring = [], curves.superellipse(40, 1.0, 1.0, 2.6)
    for share, x in zip(np.interp(t, shape[:, 0], shape[:, 1]), np.linspace(-0.5, 0.1, 70), strict=True):
        end = math.sqrt(max(1 - max(0.0, 1 - (x + 0.5) / 0.03) ** 2, 0.03))
        rows.append(
            np.column_stack(
                [
                    np.full(40, x),
                    ring[:, 0] * wide * share * end,
                    ring[:, 1] * (0.45 + 0.55 * share) * thick * end,
                ]
            )
        )
    result = [Part("handle", loft(np.array(rows)).grained("x"), p.handle)]
    rows = []
    for x, share in (
        (0.085, 1.0),
        (0.09, 1.03),
        (0.12, 1.03),
        (0.125, 1.06),
        (0.135, 1.06),
        (0.14, 1.03),
        (0.19, 1.03),
        (0.195, 1.06),
        (0.205, 1.06),
        (0.21, 1.03),
        (0.25, 1.03),
        (0.252, 1.0),
    ):
        outline = curves.superellipse(56, wide * share, thick * (share + 0.02), 5.0)
        rows.append(np.column_stack([np.full(56, x), outline]))
    result.append(Part("ferrule", loft(np.array(rows)), p.steel))
    hairs = np.array(p.hairs)
    count = len(hairs)
    outline = curves.superellipse(count, 1.0, 1.0, 5.0)
    start, stop = 0.24, 0.24 + 0.2 * p.head
    for name, low, high, stuff, grow in (
        ("bristles", 0.0, 1.0, p.bristle, 0.0),
        ("paint", 1 - p.paint, 1.0, p.wet, 0.004),
    ):
        if name == "paint" and not p.paint:
            continue
        rows = []
        for share in np.linspace(low, high, 24):
            taper = 1 + 0.12 * share - 0.25 * share**4
            flat = 1 - 0.35 * share - 0.45 * share**5
            comb = 1 + 0.02 * hairs * share
            x = start + share * (stop - start) + 0.012 * np.roll(hairs, 5) * share**3
            x = x + grow * (2 * (share - low) / (high - low) - 1)
            rows.append(
                np.column_stack(
                    [
                        x,
                        outline[:, 0] * (wide * taper * 0.96 + grow) * comb,
                        outline[:, 1] * (thick * flat * 0.92 + grow) * comb,
                    ]
                )
            )
        result.append(Part(name, loft(np.array(rows)).grained("x"), stuff))
    return result
