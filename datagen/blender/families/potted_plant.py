"""Potted plant: a turned pot with soil and one of five plants, grown leaf by leaf."""

import math
from dataclasses import replace

import numpy as np

from pairbridge.datagen.blender.families.potted_plant_params import (
    GOLDEN_ANGLE,
    Leaf,
    PottedPlantParams,
    potted_plant_rand,
)
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.meshes import Mesh, joined, mesh, sheet
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.scene import palette

__all__ = ["potted_plant", "potted_plant_rand"]


def potted_plant(p: PottedPlantParams) -> list[Part]:
    ground = 0.9 * p.pot_height
    result = _pot(p, ground)
    grow = {
        "broadleaf": _broadleaf,
        "swordleaf": _rosette,
        "succulent": _rosette,
        "tree": _tree,
        "cactus": _cactus,
    }[p.plant]
    return result + [Part(q.name, q.mesh.moved(z=ground), q.material) for q in grow(p)]


def _pot(p: PottedPlantParams, ground: float) -> list[Part]:
    (low, high), h, wall = p.pot_radii, p.pot_height, 0.018
    lip = high + 0.014 if p.pot_rim else high
    profile = [
        (0, 0.008),
        (0.85 * low, 0.008),
        (0.87 * low, 0),
        (low, 0),
        (high, h - p.pot_rim),
        (lip, h - p.pot_rim),
        (lip + 0.004, h),
        (lip - 2 * wall, h),
        (high - 2 * wall, ground - 0.05),
        (0, ground - 0.05),
    ]
    outline = curves.rounded(profile, 0.008)
    pot = solids.lathe(outline, 112, lobes=p.pot_lobes)
    radius = np.linspace(0.002, 1.0, 22)
    angle = np.arange(64) * math.tau / 64
    # Crumbs as a sum of a few waves: cheap, smooth and the same for everyone.
    x, y = radius[:, None] * np.cos(angle), radius[:, None] * np.sin(angle)
    height = 0.008 * (np.sin(9 * x + 2) * np.cos(8 * y) + 0.6 * np.sin(17 * y + 5 * x)) + 0.02 * (
        1 - radius[:, None] ** 2
    )
    reach = high - wall
    soil = sheet(np.stack([x * reach, y * reach, ground + height], 2)[:, np.r_[0:64, 0]])
    dish = []
    if p.saucer:
        plate = [
            (0, -0.012),
            (1.25 * low, -0.012),
            (1.42 * low, 0.03),
            (1.36 * low, 0.034),
            (1.2 * low, 0.002),
            (0, 0.002),
        ]
        dish.append(Part("saucer", solids.lathe(curves.rounded(plate, 0.01), 96), p.dish))
    if p.square_pot:
        pot, soil = _squared(pot), _squared(soil)
        dish = [Part(q.name, _squared(q.mesh), q.material) for q in dish]
    return [Part("pot", pot, p.pot), Part("soil", soil, p.soil), *dish]


def _squared(part: Mesh) -> Mesh:
    """A turned body drawn out to a square plan with rounded corners."""
    angle = np.arctan2(part.vertices[:, 1], part.vertices[:, 0])
    stretch = (np.abs(np.cos(angle)) ** 7 + np.abs(np.sin(angle)) ** 7) ** (-1 / 7) * 0.92
    return replace(part, vertices=part.vertices * np.column_stack([stretch, stretch, np.ones(len(angle))]))


def _blade(p: PottedPlantParams, leaf: Leaf, number: int, *, rows: int = 13, columns: int = 7) -> Mesh:
    """A leaf from the origin along its azimuth: pointed outline, folded along the midrib, drooping to its
    tip."""
    v = np.linspace(0, 1, rows)
    k = math.log(0.5) / math.log(p.widest)
    outline = np.maximum(np.sin(math.pi * v**k) ** (0.75 if p.plant != "swordleaf" else 0.5), 0.02)
    if p.plant == "swordleaf":
        outline = np.maximum(
            np.minimum(outline, 1.0 - 0.97 * np.clip((v - 0.55) / 0.45, 0, 1) ** 2), 0.25 * (1 - v)
        )
    u = np.linspace(-1, 1, columns)
    pitch = leaf.pitch - leaf.droop * v**1.3
    step = leaf.length / (rows - 1)
    along = np.concatenate([[0], np.cumsum(step * np.cos(pitch[:-1]))])
    rise = np.concatenate([[0], np.cumsum(step * np.sin(pitch[:-1]))])
    half = 0.5 * leaf.width * outline[:, None]
    across = half * u * math.cos(p.fold)
    lift = half * np.abs(u) * math.sin(p.fold) + 0.05 * half * np.sin(9 * v[:, None] + 2 * u)
    normal_x, normal_z = -np.sin(pitch)[:, None], np.cos(pitch)[:, None]
    side = across * math.cos(leaf.roll)
    lift = lift + across * math.sin(leaf.roll)
    grid = np.stack([along[:, None] + lift * normal_x, side, rise[:, None] + lift * normal_z], 2)
    blade = sheet(grid)
    rest = np.stack(
        [
            np.broadcast_to(u, grid.shape[:2]),
            np.broadcast_to(v[:, None], grid.shape[:2]),
            np.full(grid.shape[:2], 1.37 * number),
        ],
        2,
    )
    if p.plant == "succulent":
        blade, rest = _fleshy(grid, outline * leaf.width * 0.2, rest)
    return replace(blade, rest=rest.reshape(-1, 3)).turned("z", leaf.azimuth)


def _fleshy(grid: np.ndarray, thickness: np.ndarray, rest: np.ndarray) -> tuple[Mesh, np.ndarray]:
    """A leaf with a rounded back, as succulents have."""
    u = np.linspace(-1, 1, grid.shape[1])
    bulge = (thickness[:, None] * np.sqrt(np.clip(1 - u**2, 0, 1)))[..., None] * np.array([0.25, 0.0, -1.0])
    back = (grid + bulge)[:, ::-1]
    front = grid - 0.15 * bulge
    ring = np.concatenate([front, back[:, 1:-1]], 1)
    count = ring.shape[1]
    loops = sheet(ring[:, np.r_[0:count, 0]])
    closed = mesh(loops.vertices, loops.loops, loops.sizes)
    whole = np.concatenate([rest, rest[:, ::-1][:, 1:-1], rest[:, :1]], 1)
    return closed, whole


def _broadleaf(p: PottedPlantParams) -> list[Part]:
    """Every leaf on its own arching stalk out of the soil."""
    blades, stalks = [], []
    for number, leaf in enumerate(p.leaves):
        reach = 0.1 + 0.16 * (1 - leaf.height)
        top = (0.2 + 0.9 * p.stem_height * leaf.height) * (0.9 + 0.2 * math.sin(number))
        out = np.array([math.cos(leaf.azimuth), math.sin(leaf.azimuth), 0.0])
        end = out * reach + [0, 0, top]
        stalks.append(
            solids.tube(
                curves.spline([out * 0.02 + [0, 0, -0.03], out * 0.3 * reach + [0, 0, 0.55 * top], end], 16),
                np.linspace(0.009, 0.005, 16),
                segments=8,
            )
        )
        blades.append(_blade(p, leaf, number).moved(*end))
    return [Part("stalks", joined(stalks), p.stem), Part("leaves", joined(blades), p.leaf)]


def _rosette(p: PottedPlantParams) -> list[Part]:
    """Leaves that rise from one crown: swords, or a succulent's fleshy spiral."""
    blades = []
    for number, leaf in enumerate(p.leaves):
        out = np.array([math.cos(leaf.azimuth), math.sin(leaf.azimuth), 0.0])
        spread = (0.07 if p.plant == "swordleaf" else 0.025) * (1 - leaf.height)
        rise = -0.01 if p.plant == "swordleaf" else 0.02 + 0.1 * leaf.height
        blades.append(_blade(p, leaf, number, rows=17).moved(*(out * spread + [0, 0, rise])))
    crown = (
        [Part("crown", solids.ellipsoid(0.04, 0.04, 0.09, 16).moved(z=0.03), p.stem)]
        if p.plant == "succulent"
        else []
    )
    return [Part("leaves", joined(blades), p.leaf), *crown]


def _tree(p: PottedPlantParams) -> list[Part]:
    """Bare trunk and a round crown of leaves on forking twigs."""
    top = p.stem_height * 0.85
    path = curves.spline(
        [
            (0, 0, -0.05),
            (0.5 * p.bend[0], 0.5 * p.bend[1], 0.35 * top),
            (-0.4 * p.bend[0], p.bend[1], 0.7 * top),
            (p.bend[0], 0.6 * p.bend[1], top),
        ],
        28,
    )
    wood = [solids.tube(path, np.linspace(0.024, 0.013, 28), segments=14)]
    blades = []
    twigs = 9
    for k in range(twigs):
        angle, lean = k * GOLDEN_ANGLE, 0.25 + 1.1 * ((k * 0.618) % 1)
        out = np.array([math.cos(angle) * math.sin(lean), math.sin(angle) * math.sin(lean), math.cos(lean)])
        base = path[-1 - (k % 4)]
        end = base + 0.24 * out
        twig = curves.spline([base, base + 0.12 * out + [0, 0, 0.02], end], 12)
        wood.append(solids.tube(twig, np.linspace(0.009, 0.004, 12), segments=8))
        for number, leaf in enumerate(p.leaves[k::twigs]):
            place = twig[-1 - (number * 2) % 10]
            own = replace(leaf, pitch=leaf.pitch + 0.5 * (number == 0))
            blades.append(_blade(p, own, number * twigs + k, rows=9, columns=5).moved(*place))
    return [Part("trunk", joined(wood), p.stem), Part("leaves", joined(blades), p.leaf)]


def _column(p: PottedPlantParams, height: float, radius: float) -> tuple[np.ndarray, float]:
    t = np.linspace(0, 1, 40)
    dome = np.sqrt(np.clip(1 - np.clip((t - 0.82) / 0.18, 0, 1) ** 2, 0, 1))
    return np.column_stack(
        [radius * dome * (0.82 + 0.18 * np.sin(math.pi * np.clip(1.3 * t, 0, 1))), t * height]
    ), radius


def _cactus(p: PottedPlantParams) -> list[Part]:
    """Ribbed column with arms, spines along every rib and flowers near the top."""
    height, radius = 0.5 + 0.6 * (p.stem_height - 0.4), 0.1
    profile, _ = _column(p, height, radius)
    bodies = [solids.lathe(profile, 8 * p.ribs, lobes=(p.ribs, 0.1)).moved(z=-0.02)]
    spines = [_spines(p, profile)]
    for k in range(p.arms):
        angle = k * GOLDEN_ANGLE + 0.4
        base = 0.2 + 0.08 * k
        out = np.array([math.cos(angle), math.sin(angle), 0.0])
        points = [
            out * 0.05 + [0, 0, base],
            out * 0.15 + [0, 0, base + 0.01],
            out * 0.19 + [0, 0, base + 0.09],
            out * 0.19 + [0, 0, base + 0.22],
        ]
        path = curves.spline(points, 32)
        t = np.linspace(0, 1, 32)
        thick = 0.052 * np.sqrt(np.clip(1 - np.clip((t - 0.86) / 0.14, 0, 1) ** 2, 0.001, 1))
        count = 5 * p.ribs
        star = (
            curves.circle(count) * (1 + 0.1 * np.cos(p.ribs * np.arange(count) * math.tau / count))[:, None]
        )
        bodies.append(solids.tube(path, thick, section=star))
    blooms = []
    for k in range(p.flowers):
        angle = k * GOLDEN_ANGLE
        out = np.array([0.6 * math.cos(angle), 0.6 * math.sin(angle), 1.0])
        place = np.array([0.045 * math.cos(angle), 0.045 * math.sin(angle), height - 0.035])
        cup = [(0, 0), (0.008, 0), (0.014, 0.02), (0.032, 0.045), (0.028, 0.046), (0.01, 0.022), (0, 0.02)]
        blooms.append(solids.lathe(curves.rounded(cup, 0.004), 40, lobes=(5, 0.16)).aimed(out).moved(*place))
    result = [
        Part("cactus", joined(bodies), p.leaf),
        Part("spines", joined(spines), p.flower if p.flowers == 0 else p.soil),
    ]
    result[1] = Part(
        "spines",
        result[1].mesh,
        replace(
            p.dish,
            kind="plastic",
            finish="glossy",
            bump=0.0,
            roughness=0.4,
            decoration=None,
            colour=palette.hsv(0.13, 0.25, 0.85),
        ),
    )
    return result + ([Part("flowers", joined(blooms), p.flower)] if blooms else [])


def _spines(p: PottedPlantParams, profile: np.ndarray) -> Mesh:
    """Tufts of three thin tetrahedra along the ribs' crests, written as one mesh."""
    vertices = []
    for k in range(p.ribs):
        angle = math.tau * k / p.ribs
        for z in np.arange(0.05, profile[-1, 1] - 0.01, 0.036):
            radius = 1.1 * float(np.interp(z, profile[:, 1], profile[:, 0]))
            out = np.array([math.cos(angle), math.sin(angle), 0.0])
            aside = np.array([-out[1], out[0], 0.0])
            root = out * radius + [0, 0, z - 0.02]
            for lean in (-0.9, 0.0, 0.9):
                tip = root + 0.034 * (out + lean * aside + [0, 0, 0.35 - 0.3 * abs(lean)]) / math.hypot(
                    1, lean
                )
                foot = [
                    root + 0.0022 * (math.cos(a) * aside + math.sin(a) * np.array([0, 0, 1.0]))
                    for a in (0.0, math.tau / 3, 2 * math.tau / 3)
                ]
                vertices.append([*foot, tip])
    points = np.array(vertices).reshape(-1, 3)
    faces = np.array([0, 1, 3, 1, 2, 3, 2, 0, 3, 0, 2, 1])
    count = len(vertices)
    loops = (4 * np.arange(count)[:, None] + faces).ravel()
    return mesh(points, loops, np.full(4 * count, 3))
