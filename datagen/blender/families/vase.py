"""Vase: a turned vessel of many styles, fluted or faceted, with or without handles and dry twigs."""

import math
from dataclasses import dataclass

import numpy as np

from pairbridge.datagen.blender.materials.decorations import decorated, decoration_rand
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.meshes import Mesh
from pairbridge.datagen.blender.modelling.parts import Part

# Radius over height, foot to rim, both in units of the vase's height.
STYLES: dict[str, tuple[tuple[float, float], ...]] = {
    "amphora": ((0.13, 0.0), (0.12, 0.05), (0.24, 0.35), (0.29, 0.6), (0.2, 0.78), (0.1, 0.86), (0.1, 0.94),
        (0.15, 1.0)),
    "bottle": ((0.2, 0.0), (0.27, 0.12), (0.28, 0.3), (0.2, 0.5), (0.075, 0.65), (0.06, 0.82), (0.09, 1.0)),
    "jar": ((0.22, 0.0), (0.27, 0.15), (0.37, 0.5), (0.4, 0.72), (0.3, 0.9), (0.19, 0.95), (0.2, 1.0)),
    "trumpet": ((0.22, 0.0), (0.16, 0.1), (0.1, 0.35), (0.12, 0.6), (0.2, 0.85), (0.33, 1.0)),
    "moon": ((0.17, 0.0), (0.3, 0.15), (0.42, 0.45), (0.36, 0.75), (0.19, 0.9), (0.17, 1.0)),
    "gourd": ((0.17, 0.0), (0.3, 0.2), (0.26, 0.4), (0.13, 0.53), (0.2, 0.68), (0.17, 0.82), (0.085, 0.92),
        (0.1, 1.0)),
    "column": ((0.2, 0.0), (0.21, 0.3), (0.23, 0.6), (0.25, 0.85), (0.2, 0.95), (0.21, 1.0)),
    "urn": ((0.2, 0.0), (0.17, 0.06), (0.1, 0.16), (0.13, 0.24), (0.29, 0.45), (0.33, 0.7), (0.24, 0.85),
        (0.32, 1.0)),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class VaseParams:
    """Lengths in units of the height. A twig is (azimuth, lean, length, curl); handles 0 or 2."""

    profile: tuple[tuple[float, float], ...]
    wall: float
    lobes: tuple[int, float]
    twist: float
    collars: tuple[float, ...]
    handles: int
    handle_thickness: float
    twigs: tuple[tuple[float, float, float, float], ...]
    bud_size: float
    turn_rad: float
    body: Material
    trim: Material
    twig: Material
    bud: Material


def vase_rand(rng: np.random.Generator) -> VaseParams:
    shape, relief, extras, skin = rng.spawn(4)
    style = sorted(STYLES)[shape.integers(len(STYLES))]
    slim = shape.uniform(0.8, 1.15)
    profile = tuple((float(r * slim * shape.uniform(0.92, 1.08)), z) for r, z in STYLES[style])
    body = material_rand(
        skin, (*("ceramic",) * 4, "clay", "metal", "stone", "painted", "glass", "glass", "coloured_glass")
    )
    widest = max(r for r, _ in profile)
    if skin.uniform() < 0.6 and body.kind not in ("metal", "stone", "glass", "coloured_glass"):
        body = decorated(body, decoration_rand(skin, radius=widest, low=0.0, high=1.0))
    lobed = relief.uniform() < 0.35
    twigged = extras.uniform() < 0.4
    return VaseParams(
        profile=profile,
        wall=shape.uniform(0.02, 0.035),
        lobes=(int(relief.integers(5, 25)), relief.uniform(0.03, 0.07)) if lobed else (0, 0.0),
        twist=float(relief.choice([0.0, 0.0, 1.0, 2.0])) * relief.uniform(-1, 1),
        collars=tuple(relief.uniform(0.1, 0.9, relief.integers(1, 4)).tolist())
        if not lobed and relief.uniform() < 0.5
        else (),
        handles=2 if style in ("amphora", "urn", "bottle") and extras.uniform() < 0.75 else 0,
        handle_thickness=extras.uniform(0.02, 0.032),
        twigs=tuple(
            (
                i * 2.4 + extras.uniform(-0.4, 0.4),
                extras.uniform(0.05, 0.3),
                extras.uniform(0.22, 0.42),
                extras.uniform(-0.12, 0.12),
            )
            for i in range(extras.integers(4, 9))
        )
        if twigged
        else (),
        bud_size=extras.uniform(0.016, 0.032),
        turn_rad=extras.uniform(-math.pi, math.pi),
        body=body,
        trim=material_rand(skin, ("metal", "ceramic", body.kind)) if "glass" not in body.kind else body,
        twig=material_rand(skin, ("wood",)),
        bud=material_rand(skin, ("fabric", "painted", "wax")),
    )


def vase(p: VaseParams) -> list[Part]:
    outer = curves.spline(p.profile, 72)
    inner = outer[::-1] - [p.wall, 0.0]
    # The neck may be narrower than two walls; the hollow ends where it would close.
    inner = inner[(inner[:, 1] > 2 * p.wall) & (inner[:, 0] > 0.01)]
    rim = outer[-1] + 0.5 * p.wall * np.stack([np.cos(t := np.linspace(0, math.pi, 7)) - 1, np.sin(t)], 1)
    foot = curves.rounded(
        [(0, 0.015), (0.8 * outer[0, 0], 0.015), (0.84 * outer[0, 0], 0), (outer[0, 0], 0), outer[1]], 0.012
    )
    closed = [(inner[-1, 0] * 0.8, inner[-1, 1] - 0.01), (0, inner[-1, 1] - 0.015)]
    profile = np.vstack([foot[:-1], outer[1:-1], rim, inner[1:], closed])
    result = [Part("body", solids.lathe(profile, 120, lobes=p.lobes, twist=p.twist), p.body)]
    for height in p.collars:
        radius = float(np.interp(height, outer[:, 1], outer[:, 0]))
        result.append(
            Part(
                "collar", solids.torus(radius - 0.002, 0.009, segments=96, around=10).moved(z=height), p.trim
            )
        )
    for side in range(p.handles):
        result.append(Part("handle", _handle(outer, p.handle_thickness).turned("z", side * math.pi), p.body))
    for azimuth, lean, length, curl in p.twigs:
        result.extend(_twig(p, outer[-1, 0] - p.wall, azimuth, lean, length, curl))
    return [Part(part.name, part.mesh.turned("z", p.turn_rad), part.material) for part in result]


def _handle(outer: np.ndarray, thickness: float) -> Mesh:
    shoulder, neck = 0.62, 0.93
    low, high = (float(np.interp(z, outer[:, 1], outer[:, 0])) for z in (shoulder, neck))
    reach = max(low, high) + 0.09
    points = [
        (low - 0.01, shoulder),
        (reach - 0.01, shoulder + 0.08),
        (reach, 0.83),
        (0.6 * reach + 0.4 * high, neck + 0.03),
        (high - 0.01, neck),
    ]
    path = curves.in_plane(curves.spline(points, 32), "xz")
    return solids.tube(path, thickness, section=curves.superellipse(16, 0.7, 1.1, 2.5))


def _twig(p: VaseParams, mouth: float, azimuth: float, lean: float, length: float, curl: float) -> list[Part]:
    """One branch from inside the neck, with buds on alternating sides towards its end."""
    foot = np.array([-0.6 * mouth * math.cos(azimuth), -0.6 * mouth * math.sin(azimuth), 0.7])
    lip = np.array([0.55 * mouth * math.cos(azimuth), 0.55 * mouth * math.sin(azimuth), 1.0])
    out = np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
    aside = np.array([-out[1], out[0], 0.0])
    middle = lip + 0.5 * length * (lean * out + [0, 0, 1]) + curl * 0.5 * aside
    tip = lip + length * (1.6 * lean * out + [0, 0, 1]) + curl * aside
    path = curves.spline([foot, lip, middle, tip], 28)
    result = [Part("twig", solids.tube(path, np.linspace(0.009, 0.004, len(path)), segments=8), p.twig)]
    bud = solids.ellipsoid(p.bud_size, p.bud_size, 1.7 * p.bud_size, 12)
    for index in range(13, len(path), 2):
        sway = (1 if index % 4 == 1 else -1) * aside + 0.6 * out * math.cos(1.7 * index)
        place = path[index] + 0.9 * p.bud_size * sway
        result.append(Part("bud", bud.aimed(sway + np.array([0, 0, 1.2])).moved(*place), p.bud))
    return result
