"""Mannequin: a posed figure, as a jointed wooden lay figure, a smooth shop dummy, or a dummy in clothes.

It stands in for people where no scans are at hand, and is called what it is.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.families.mannequin_pose import (
    FOOT,
    HEAD,
    HIP_HEIGHT,
    NECK_RISE,
    Joints,
    Pose,
    joints,
    pose_rand,
    spine_point,
)
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.meshes import Mesh, loft
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.blender.shading import palette
from pairbridge.datagen.blender.shading.materials import Material, decorated, decoration_rand, material_rand

STYLES = ("lay", "shop", "clothed", "clothed", "clothed")
# Trunk from crotch to neck: rise above the hips, half width, half depth, and how far its middle lies forward.
TRUNK = (
    (-0.045, 0.03, 0.04, 0.0),
    (-0.03, 0.07, 0.058, 0.0),
    (0.0, 0.09, 0.066, -0.002),
    (0.04, 0.09, 0.063, -0.002),
    (0.085, 0.077, 0.053, 0.0),
    (0.12, 0.07, 0.049, 0.002),
    (0.165, 0.081, 0.055, 0.004),
    (0.215, 0.098, 0.064, 0.006),
    (0.255, 0.107, 0.062, 0.004),
    (0.285, 0.112, 0.053, 0.0),
    (0.305, 0.1, 0.044, -0.003),
    (0.32, 0.07, 0.037, -0.004),
    (0.33, 0.045, 0.032, -0.004),
    (0.338, 0.031, 0.029, -0.004),
)
RING = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class MannequinParams:
    """`build` scales the trunk's and the limbs' thickness, `bust` rounds the chest; lengths are of the
    height."""

    style: str
    pose: Pose
    build: float
    bust: float
    face: bool
    hair: str
    top: str
    bottom: str
    flare: float
    stand: str
    skin: Material
    joint: Material
    shirt: Material
    trousers: Material
    shoes: Material
    hair_stuff: Material
    base: Material


def mannequin_rand(rng: np.random.Generator) -> MannequinParams:
    shape, dress, skin, moved = rng.spawn(4)
    style = STYLES[shape.integers(len(STYLES))]
    body = material_rand(skin, ("wood",)) if style == "lay" else _dummy(skin)
    shirt, trousers = (material_rand(skin, ("fabric", "fabric", "fabric", "leather")) for _ in range(2))
    if shirt.kind == "fabric" and skin.uniform() < 0.5:
        pattern = decoration_rand(
            skin, radius=0.09, low=-1.0, high=2.0, kinds=("stripes", "bands", "checks", "dots")
        )
        shirt = decorated(shirt, pattern)
    return MannequinParams(
        style=style,
        pose=pose_rand(moved),
        build=shape.uniform(0.9, 1.18),
        bust=float(shape.choice([0.0, 0.0, 1.0])) * shape.uniform(0.5, 1.0),
        face=bool(shape.uniform() < 0.7),
        hair=str(dress.choice(["short", "long", "bun", "hat", "none"])),
        top=str(dress.choice(["long", "short", "sleeveless", "jacket"])),
        bottom=str(dress.choice(["trousers", "trousers", "shorts", "skirt"])),
        flare=dress.uniform(1.15, 1.7),
        stand="rod" if style == "lay" else str(dress.choice(["plate", "plate", "none"])),
        skin=body,
        joint=material_rand(skin, ("wood", "metal")) if style == "lay" else body,
        shirt=shirt,
        trousers=trousers,
        shoes=material_rand(skin, ("leather", "leather", "rubber", "fabric")),
        hair_stuff=_hair(skin),
        base=material_rand(skin, ("metal", "painted", "wood", "stone")),
    )


def _dummy(rng: np.random.Generator) -> Material:
    """What shop dummies are moulded from: white, grey, black or metallic, or a skin colour."""
    stuff = material_rand(rng, ("plastic", "plastic", "painted"))
    hue, saturation, value = (
        (0.06, 0.28, 0.86), (0.055, 0.38, 0.72), (0.05, 0.48, 0.52), (0.045, 0.5, 0.36), (0.1, 0.04, 0.92),
        (0.6, 0.02, 0.6), (0.6, 0.03, 0.22),
    )[rng.integers(7)]  # fmt: skip
    colour = palette.hsv(hue + rng.uniform(-0.01, 0.01), saturation, value * rng.uniform(0.94, 1.04))
    return replace(stuff, colour=colour, wear=0.0, bump=min(stuff.bump, 0.0006))


def _hair(rng: np.random.Generator) -> Material:
    hue, saturation, value = (
        (0.07, 0.5, 0.2), (0.06, 0.55, 0.3), (0.09, 0.5, 0.7), (0.04, 0.65, 0.42), (0.1, 0.05, 0.7),
    )[rng.integers(5)]  # fmt: skip
    colour = palette.hsv(hue, saturation, value)
    stuff = material_rand(rng, ("fabric",))
    return replace(stuff, finish="felt", colour=colour, accent=palette.shaded(colour, 0.6), roughness=0.75)


def mannequin(p: MannequinParams) -> list[Part]:
    sides = {side: joints(p.pose, side) for side in (-1, 1)}
    parts = _jointed(p, sides) if p.style == "lay" else _smooth(p, sides)
    if p.style == "clothed":
        parts += _clothes(p, sides)
    parts += _head(p)
    lowest = min(float(part.mesh.vertices[:, 2].min()) for part in parts)
    parts = [Part(part.name, part.mesh.moved(z=-lowest), part.material) for part in parts]
    return parts + _stand(p, -lowest)


def _trunk(
    p: MannequinParams, low: float, high: float, grow: float, *, closed_round: bool, hem: float = -1.0
) -> Mesh:
    """The trunk between two rises, `grow` wider all around; below the rise `hem` it falls straight down."""
    rises, half_x, half_y, forward = np.array(TRUNK).T
    at = np.linspace(low, high, 36)
    wide = (
        curves.spline(np.column_stack([rises, half_x]), 120),
        curves.spline(np.column_stack([rises, half_y]), 120),
    )
    looked_up = np.maximum(at, hem)
    x = np.interp(looked_up, wide[0][:, 0], wide[0][:, 1]) * p.build + grow
    y = np.interp(looked_up, wide[1][:, 0], wide[1][:, 1]) * p.build + grow
    shift = np.interp(at, rises, forward)
    ease = np.ones(36)
    if closed_round:
        # Rounded like a turned piece where it ends.
        t = np.linspace(0, 1, 36)
        ease = np.sqrt(np.clip(1 - np.clip(np.abs(2 * t - 1) * 2.2 - 1.2, 0, 1) ** 2, 0.01, 1))
    bulge = p.bust * 0.028 * np.exp(-(((at - 0.225) / 0.035) ** 2))
    rows = []
    outline = curves.superellipse(RING, 1.0, 1.0, 2.3)
    for rise, sx, sy, dy, fade, chest in zip(at, x, y, shift, ease, bulge, strict=True):
        front = np.clip(-outline[:, 1], 0, 1) ** 1.5
        ring_x = outline[:, 0] * sx * fade
        ring_y = outline[:, 1] * sy * fade - front * chest - dy
        rows.append([spine_point(p.pose, px, py, rise) for px, py in zip(ring_x, ring_y, strict=True)])
    return loft(np.array(rows)).at_rest()


def _limb(
    start: np.ndarray,
    end: np.ndarray,
    radii: tuple[float, ...],
    grow: float = 0.0,
    *,
    round_ends: bool = True,
) -> Mesh:
    """A limb of the given radii at equal steps."""
    count = 28
    t = np.linspace(0, 1, count)
    radius = np.interp(t, np.linspace(0, 1, len(radii)), radii)
    # Piecewise linear radii would show as rings.
    radius = curves.spline(np.column_stack([np.linspace(0, 1, len(radii)), radii]), count)[:, 1] + grow
    if round_ends:
        radius = radius * np.sqrt(np.clip(1 - np.clip(np.abs(2 * t - 1) * 6 - 5, 0, 1) ** 2, 0.02, 1))
    return solids.tube(curves.line(start, end, count), radius, segments=24, up=(0.0, -1.0, 0.0))


THIGH_RADII = (0.056, 0.058, 0.052, 0.043, 0.038)
SHIN_RADII = (0.037, 0.041, 0.039, 0.029, 0.023)
ARM_RADII = (0.032, 0.034, 0.03, 0.027, 0.025)
FOREARM_RADII = (0.025, 0.027, 0.024, 0.019, 0.016)


def _scaled(radii: tuple[float, ...], factor: float) -> tuple[float, ...]:
    return tuple(radius * factor for radius in radii)


def _smooth(p: MannequinParams, sides: dict[int, Joints]) -> list[Part]:
    result = [Part("trunk", _trunk(p, -0.045, 0.337, 0.0, closed_round=False), p.skin)]
    for side, j in sides.items():
        for name, start, end, radii in (
            ("thigh", j.hip, j.knee, THIGH_RADII),
            ("shin", j.knee, j.ankle, SHIN_RADII),
            ("upper arm", j.shoulder, j.elbow, ARM_RADII),
            ("forearm", j.elbow, j.wrist, FOREARM_RADII),
        ):
            result.append(Part(name, _limb(start, end, _scaled(radii, p.build), round_ends=False), p.skin))
        for name, place, radius in (
            ("shoulder", j.shoulder, 0.0345),
            ("elbow", j.elbow, 0.0252),
            ("knee", j.knee, 0.0378),
            ("hip", j.hip, 0.0585),
            ("ankle", j.ankle, 0.0228),
        ):
            size = radius * p.build
            result.append(Part(name, solids.ellipsoid(size, size, size, 28).moved(*place), p.skin))
        result += _hand(j, side, p.skin)
        # Shoes are as long as the foot, whose tip would show through.
        if p.style != "clothed":
            result += _foot(p, j, p.skin, 1.0)
    return result


def _jointed(p: MannequinParams, sides: dict[int, Joints]) -> list[Part]:
    """Turned pieces with a ball in every joint, as artists' lay figures have them."""
    result = [
        Part("chest", _trunk(p, 0.15, 0.325, 0.0, closed_round=True), p.skin),
        Part("pelvis", _trunk(p, -0.045, 0.075, 0.0, closed_round=True), p.skin),
        Part(
            "waist", solids.ellipsoid(0.05, 0.043, 0.05, 32).moved(*spine_point(p.pose, 0, 0, 0.11)), p.joint
        ),
    ]
    for side, j in sides.items():
        for name, start, end, radii in (
            ("thigh", j.hip, j.knee, THIGH_RADII),
            ("shin", j.knee, j.ankle, SHIN_RADII),
            ("upper arm", j.shoulder, j.elbow, ARM_RADII),
            ("forearm", j.elbow, j.wrist, FOREARM_RADII),
        ):
            gap = 0.09 * (end - start)
            piece = _limb(start + gap, end - gap, _scaled(radii, 0.95 * p.build))
            result.append(Part(name, piece.restarted(5 * start), p.skin))
        for place, radius in ((j.shoulder, 0.034), (j.elbow, 0.023), (j.wrist, 0.017), (j.hip, 0.046),
                              (j.knee, 0.032), (j.ankle, 0.022)):  # fmt: skip
            result.append(Part("ball", solids.ellipsoid(radius, radius, radius, 28).moved(*place), p.joint))
        result += _hand(j, side, p.skin) + _foot(p, j, p.skin, 1.0)
    return result


def _hand(j: Joints, side: int, stuff: Material) -> list[Part]:
    way = (j.wrist - j.elbow) / np.linalg.norm(j.wrist - j.elbow)
    palm = solids.ellipsoid(0.011, 0.02, 0.034, 28).aimed(way).moved(*(j.wrist + 0.034 * way))
    result = [Part("hand", palm, stuff)]
    # Fingers lie beside each other across the palm, curled a little; the thumb stands off.
    across = np.cross(way, (float(side), 0.0, 0.0))
    if np.linalg.norm(across) < 0.3:
        across = np.cross(way, (0.0, 0.0, 1.0))
    across = across / np.linalg.norm(across)
    inwards = np.cross(across, way)
    for number, length in enumerate((0.036, 0.041, 0.039, 0.031)):
        root = j.wrist + 0.052 * way + (number - 1.5) * 0.0088 * across
        path = curves.spline(
            [root, root + 0.6 * length * way, root + length * way + 0.12 * length * inwards], 10
        )
        result.append(Part("finger", solids.tube(path, np.linspace(0.0056, 0.004, 10), segments=10), stuff))
    root = j.wrist + 0.018 * way - 0.014 * across
    thumb = curves.spline([root, root + 0.02 * way - 0.013 * across, root + 0.04 * way - 0.015 * across], 10)
    result.append(Part("thumb", solids.tube(thumb, np.linspace(0.0075, 0.005, 10), segments=10), stuff))
    return result


def _foot(p: MannequinParams, j: Joints, stuff: Material, grow: float) -> list[Part]:
    """A foot at right angles to the shin, as far as an ankle allows."""
    shin = (j.ankle - j.knee) / np.linalg.norm(j.ankle - j.knee)
    toes = np.array([0.0, -1.0, 0.0]) - 0.55 * float(-shin[1]) * np.array([0.0, 0.0, 1.0])
    toes[0] += 0.15 * math.copysign(1.0, float(j.hip[0]))
    toes = toes / np.linalg.norm(toes)
    outline = [(-0.034, 0.024, 0.036), (-0.028, 0.027, 0.042), (0.0, 0.028, 0.048), (0.04, 0.032, 0.036),
               (0.075, 0.035, 0.025), (0.1, 0.03, 0.02), (0.118, 0.016, 0.013)]  # fmt: skip
    profile = curves.spline(outline, 28)
    down = np.array([0.0, 0.0, -1.0]) + float(toes[2]) * toes
    down = down / np.linalg.norm(down)
    aside = np.cross(toes, down)
    sole = j.ankle + FOOT * down
    rows = []
    ring = curves.superellipse(RING, 1.0, 0.5, 2.6)
    for along, half, height in profile:
        centre = sole + along * toes - 0.5 * height * grow * down
        rows.append(centre + (grow * half * ring[:, :1]) * aside - (grow * height * ring[:, 1:]) * down)
    mesh = loft(np.array(rows)).at_rest()
    return [Part("foot", mesh, stuff)]


def _head(p: MannequinParams) -> list[Part]:
    neck_low, neck_high = (
        spine_point(p.pose, 0, 0.004, NECK_RISE - 0.015),
        spine_point(p.pose, 0, -0.004, 0.385),
    )
    centre = spine_point(p.pose, 0.0, -0.012, NECK_RISE + 0.035 + HEAD)
    neck = solids.tube(
        curves.line(neck_low, neck_high, 10), np.linspace(0.03, 0.027, 10) * p.build, segments=28
    )
    result = [Part("neck", neck, p.joint if p.style == "lay" else p.skin)]
    result += [
        Part(
            part.name,
            part.mesh.turned("x", p.pose.head_nod)
            .turned("z", p.pose.head_turn + p.pose.twist)
            .moved(*centre),
            part.material,
        )
        for part in _skull(p)
    ]
    return result


def _skull(p: MannequinParams) -> list[Part]:
    """The head around the origin, looking towards -y."""
    egg = curves.spline(
        [
            (0, -1.0),
            (0.34, -0.96),
            (0.58, -0.72),
            (0.74, -0.3),
            (0.83, 0.15),
            (0.74, 0.6),
            (0.45, 0.9),
            (0, 1.0),
        ],
        40,
    )
    egg = np.column_stack([np.maximum(egg[:, 0], 0), egg[:, 1]])
    result = [Part("head", solids.lathe(egg * HEAD, 56).scaled(0.9, 1.12, 1.0), p.skin)]
    if p.style == "lay":
        return result
    if p.face:
        nose = curves.spline(
            [(0, -0.056, 0.012), (0, -0.067, -0.006), (0, -0.071, -0.014), (0, -0.058, -0.018)], 14
        )
        result.append(Part("nose", solids.tube(nose, np.linspace(0.005, 0.009, 14), segments=14), p.skin))
        for side in (-1, 1):
            brow = solids.ellipsoid(0.019, 0.009, 0.006, 20).moved(side * 0.022, -0.056, 0.018)
            ear = solids.ellipsoid(0.006, 0.011, 0.016, 20).moved(side * 0.055, 0.004, -0.004)
            result += [Part("brow", brow, p.skin), Part("ear", ear, p.skin)]
        lips = solids.ellipsoid(0.014, 0.006, 0.0055, 20).moved(0.0, -0.055, -0.036)
        result.append(Part("lips", lips, p.skin))
    if p.style == "clothed":
        result += _on_the_head(p)
    return result


def _on_the_head(p: MannequinParams) -> list[Part]:
    cap = solids.ellipsoid(0.062, 0.071, 0.062, 48).moved(0.0, 0.016, 0.02)
    match p.hair:
        case "short":
            return [Part("hair", cap, p.hair_stuff)]
        case "long":
            fall = solids.ellipsoid(0.062, 0.042, 0.1, 40).moved(0.0, 0.045, -0.045)
            return [Part("hair", cap, p.hair_stuff), Part("hair", fall, p.hair_stuff)]
        case "bun":
            bun = solids.ellipsoid(0.028, 0.028, 0.026, 32).moved(0.0, 0.062, 0.066)
            return [Part("hair", cap, p.hair_stuff), Part("hair", bun, p.hair_stuff)]
        case "hat":
            profile = [(0, 0.035), (0.06, 0.035), (0.1, 0.026), (0.104, 0.03), (0.062, 0.045), (0.058, 0.09),
                       (0.045, 0.104), (0, 0.1)]  # fmt: skip
            hat = (
                solids.lathe(curves.rounded(profile, 0.01), 56).scaled(1.0, 1.1, 1.0).moved(y=0.006, z=-0.004)
            )
            return [Part("hat", hat, p.trousers)]
    return []


def _clothes(p: MannequinParams, sides: dict[int, Joints]) -> list[Part]:
    jacket = p.top == "jacket"
    thick = 0.012 if jacket else 0.007
    # A jacket hangs over the hips; a shirt is tucked in.
    low = -0.07 if jacket and p.bottom != "skirt" else 0.05
    result = [Part("shirt", _trunk(p, low, 0.327, thick, closed_round=False, hem=0.01), p.shirt)]
    reach = {"long": 1.0, "jacket": 1.0, "short": 0.62, "sleeveless": 0.0}[p.top]
    for j in sides.values():
        if reach:
            sleeve = _limb(j.shoulder, j.shoulder + min(1, reach) * (j.elbow - j.shoulder),
                           _scaled(ARM_RADII, p.build), thick)  # fmt: skip
            result.append(Part("sleeve", sleeve, p.shirt))
            size = 0.0345 * p.build + thick
            result.append(
                Part("sleeve", solids.ellipsoid(size, size, size, 28).moved(*j.shoulder).at_rest(), p.shirt)
            )
        if reach == 1.0:
            cuff = _limb(
                j.elbow, j.elbow + 0.94 * (j.wrist - j.elbow), _scaled(FOREARM_RADII, p.build), thick
            )
            size = 0.0255 * p.build + thick
            result += [
                Part("sleeve", cuff, p.shirt),
                Part("sleeve", solids.ellipsoid(size, size, size, 24).moved(*j.elbow).at_rest(), p.shirt),
            ]
        result += _foot(p, j, p.shoes, 1.16)
        result.append(Part("shoe", solids.ellipsoid(0.031, 0.036, 0.034, 28).moved(*j.ankle), p.shoes))
    return result + (_skirt(p, sides) if p.bottom == "skirt" else _trousers(p, sides))


def _trousers(p: MannequinParams, sides: dict[int, Joints]) -> list[Part]:
    result = [Part("trousers", _trunk(p, -0.052, 0.085, 0.009, closed_round=False), p.trousers)]
    for j in sides.values():
        size = 0.0585 * p.build + 0.008
        result.append(Part("trousers", solids.ellipsoid(size, size, size, 32).moved(*j.hip), p.trousers))
        if p.bottom == "shorts":
            leg = _limb(j.hip, j.hip + 0.75 * (j.knee - j.hip), _scaled((0.058, 0.06, 0.06), p.build), 0.009)
            result.append(Part("trousers", leg, p.trousers))
            continue
        thigh = _limb(j.hip, j.knee, _scaled(THIGH_RADII, p.build), 0.009, round_ends=False)
        hem = j.knee + 0.97 * (j.ankle - j.knee)
        shin = _limb(j.knee, hem, _scaled((0.038, 0.041, 0.038, 0.035, 0.034), p.build), 0.009)
        size = 1.06 * (0.038 * p.build + 0.009)
        knee = solids.ellipsoid(size, size, size, 28).moved(*j.knee)
        result += [Part("trousers", mesh, p.trousers) for mesh in (thigh, shin, knee)]
    return result


def _skirt(p: MannequinParams, sides: dict[int, Joints]) -> list[Part]:
    """From the waist over hips and knees, wide enough for both legs, with folds that open downwards."""
    angle = np.arange(96) * math.tau / 96
    hem_z = min(float(j.knee[2]) for j in sides.values()) - 0.03
    knees = np.array([j.knee for j in sides.values()])
    rows = []
    for t in np.linspace(0, 1, 30):
        z = (1 - t) * (HIP_HEIGHT + 0.09) + t * hem_z
        waist = np.interp(t, (0, 0.35, 1), (0.077, 0.105, 0.105 * p.flare)) * p.build + 0.008
        # The hem follows the knees: its middle is theirs, and it is as deep as their stride.
        middle = t * t * knees.mean(axis=0)
        stride = t * 0.5 * float(np.ptp(knees[:, 1]))
        fold = 1 + 0.05 * t * np.cos(11 * angle)
        x = middle[0] + waist * fold * np.cos(angle)
        y = middle[1] + (0.8 * waist + stride) * fold * np.sin(angle)
        rows.append(np.column_stack([x, y, np.full(96, z)]))
    return [Part("skirt", loft(np.array(rows)[::-1]).at_rest(), p.trousers)]


def _stand(p: MannequinParams, raised: float) -> list[Part]:
    if p.stand == "none":
        return []
    plate = solids.lathe(curves.rounded([(0, -0.014), (0.15, -0.014), (0.15, 0.0), (0, 0.0)], 0.005), 72)
    result = [Part("plate", plate, p.base)]
    if p.stand == "rod":
        top = spine_point(p.pose, 0.0, 0.02, 0.0) + np.array([0.0, 0.0, raised])
        foot = np.array([0.0, 0.11, 0.0])
        bend = np.array([0.0, 0.12, 0.8 * float(top[2])])
        rod = curves.rounded([foot, bend, top], 0.06, steps=6)
        result.append(Part("rod", solids.tube(curves.resampled(rod, 30), 0.007, segments=14), p.base))
    return result
