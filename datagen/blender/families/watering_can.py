"""Watering can: a turned or oval body, a long spout with or without a rose, and one or two handles."""

import math
from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.materials.decorations import decorated, decoration_rand
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.blender.modelling import curves, solids
from pairbridge.datagen.blender.modelling.meshes import Mesh, joined
from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.scene import palette

BODIES: dict[str, tuple[tuple[float, float], ...]] = {
    "cylinder": ((0.3, 0.0), (0.3, 0.25), (0.3, 0.56)),
    "cone": ((0.36, 0.0), (0.31, 0.28), (0.24, 0.56)),
    "barrel": ((0.25, 0.0), (0.34, 0.26), (0.27, 0.54)),
    "bowl": ((0.26, 0.0), (0.36, 0.16), (0.33, 0.3), (0.2, 0.42)),
    "bell": ((0.36, 0.0), (0.33, 0.14), (0.24, 0.34), (0.22, 0.58)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WateringCanParams:
    """Lengths in units of about the can's length; the spout points towards -x."""

    profile: tuple[tuple[float, float], ...]
    oval: float
    cover: float
    hoops: tuple[float, ...]
    spout_reach: float
    spout_rise: float
    spout_curve: float
    spout_thickness: tuple[float, float]
    rose: float
    brace: bool
    handle: str
    handle_thickness: float
    flat_handle: bool
    body: Material
    inside: Material
    trim: Material
    metal: Material


def watering_can_rand(rng: np.random.Generator) -> WateringCanParams:
    shape, spout, handle, skin = rng.spawn(4)
    style = sorted(BODIES)[shape.integers(len(BODIES))]
    wide, tall = shape.uniform(0.88, 1.1), shape.uniform(0.88, 1.12)
    body = material_rand(skin, ("metal", "metal", "rusty_metal", "painted", "painted", "plastic", "plastic"))
    if body.kind in ("painted", "plastic") and skin.uniform() < 0.45:
        body = decorated(
            body,
            decoration_rand(
                skin, radius=0.3, low=0.02, high=0.52, kinds=("bands", "dots", "flowers", "stripes", "waves")
            ),
        )
    trim = replace(body, decoration=None)
    if skin.uniform() < 0.45:
        trim = material_rand(skin, ("metal", "painted", "plastic"))
    return WateringCanParams(
        profile=tuple((r * wide, z * tall) for r, z in BODIES[style]),
        oval=shape.uniform(0.75, 1.0),
        cover=shape.uniform(0.0, 0.55),
        hoops=tuple(shape.uniform(0.08, 0.92, shape.integers(0, 3)).tolist()),
        spout_reach=spout.uniform(0.42, 0.62),
        spout_rise=spout.uniform(0.36, 0.62),
        spout_curve=spout.uniform(-0.06, 0.14),
        spout_thickness=(spout.uniform(0.06, 0.09), spout.uniform(0.028, 0.04)),
        rose=spout.uniform(0.085, 0.13) if spout.uniform() < 0.7 else 0.0,
        brace=bool(spout.uniform() < 0.5),
        handle=str(handle.choice(["hoop", "back", "both", "both"])),
        handle_thickness=handle.uniform(0.018, 0.028),
        flat_handle=bool(handle.uniform() < 0.5),
        body=body,
        inside=replace(trim, decoration=None, colour=palette.shaded(trim.colour, 0.7)),
        trim=trim,
        metal=material_rand(skin, ("metal",)),
    )


def watering_can(p: WateringCanParams) -> list[Part]:
    wall = 0.02
    outer = curves.spline(p.profile, 40)
    top_r, top_z = outer[-1]
    inner = outer[::-1] - [wall, 0.0]
    inner = inner[inner[:, 1] > 2 * wall]
    foot = curves.rounded([(0, 0.02), (0.9 * outer[0, 0], 0.02), (outer[0, 0], 0.0), outer[1]], 0.015)
    profile = np.vstack([foot[:-1], outer[1:], inner, [(inner[-1, 0] * 0.9, 0.03), (0, 0.03)]])
    result = [Part("body", solids.lathe(profile, 96), p.body)]
    if p.cover > 0.08:
        # A half lid keeps the water in: seen from above it is a moon on the spout's side.
        lid = _half_disc(top_r - 0.5 * wall, p.cover).moved(z=top_z - 0.016)
        result.append(Part("cover", lid, p.trim))
    result.append(Part("rim", solids.torus(top_r - 0.5 * wall, 0.016, segments=96).moved(z=top_z), p.trim))
    result.append(Part("hoop", solids.torus(outer[0, 0], 0.014, segments=96).moved(z=0.014), p.trim))
    for share in p.hoops:
        z = share * top_z
        radius = float(np.interp(z, outer[:, 1], outer[:, 0]))
        result.append(Part("hoop", solids.torus(radius, 0.009, segments=96, around=10).moved(z=z), p.trim))
    result += _spout(p, outer) + _handles(p, outer)
    return [Part(part.name, part.mesh.scaled(1.0, p.oval, 1.0), part.material) for part in result]


def _half_disc(radius: float, share: float) -> Mesh:
    angle = np.linspace(math.pi / 2 + 0.5 - share, 1.5 * math.pi - 0.5 + share, 40)
    return solids.extruded(radius * np.stack([np.cos(angle), np.sin(angle)], 1), 0.014)


def _spout(p: WateringCanParams, outer: np.ndarray) -> list[Part]:
    low = 0.1
    start_r = float(np.interp(low, outer[:, 1], outer[:, 0]))
    start = np.array([-start_r + 0.06, 0.0, low])
    end = np.array([-start_r - p.spout_reach, 0.0, low + p.spout_rise])
    middle = (start + end) / 2 + np.array([-p.spout_curve, 0.0, -p.spout_curve])
    path = curves.spline([start, middle, end], 48)
    thick, thin = p.spout_thickness
    t = np.linspace(0, 1, 48)
    radii = thin + (thick - thin) * (1 - t) ** 1.6
    result = [Part("spout", solids.pipe(path, radii, 0.012, depth=10), p.trim)]
    way = (path[-1] - path[-2]) / np.linalg.norm(path[-1] - path[-2])
    if p.rose:
        r = p.rose
        profile = curves.rounded(
            [(0, -0.02), (thin + 0.006, -0.02), (thin + 0.006, 0.02), (r, 0.1), (r, 0.115), (0, 0.135)], 0.008
        )
        result.append(Part("rose", solids.lathe(profile, 48).aimed(way).moved(*path[-1]), p.metal))
        holes = joined([
            solids.ellipsoid(0.0075, 0.0075, 0.004, 12).moved(
                ring * r * math.cos(a), ring * r * math.sin(a), 0.135 - 0.019 * ring
            )
            for ring, count in ((0.0, 1), (0.3, 6), (0.58, 12), (0.84, 18))
            for a in np.arange(count) * math.tau / count
        ])  # fmt: skip
        result.append(Part("holes", holes.aimed(way).moved(*path[-1]), p.inside))
    if p.brace:
        at = path[30]
        body_z = min(float(at[2]) + 0.02, 0.9 * float(outer[-1, 1]))
        anchor = np.array([-float(np.interp(body_z, outer[:, 1], outer[:, 0])) + 0.01, 0.0, body_z])
        result.append(Part("brace", solids.tube(curves.line(anchor, at, 8), 0.012, segments=12), p.trim))
    return result


def _handles(p: WateringCanParams, outer: np.ndarray) -> list[Part]:
    top_r, top_z = (float(value) for value in outer[-1])
    section = curves.superellipse(20, 0.55, 1.7, 3.0) if p.flat_handle else curves.circle(20)
    result = []
    if p.handle in ("hoop", "both"):
        points = [(-top_r + 0.01, top_z - 0.01), (-0.8 * top_r, top_z + 0.2), (0.0, top_z + 0.3),
                  (0.8 * top_r, top_z + 0.2), (top_r - 0.01, top_z - 0.01)]  # fmt: skip
        path = curves.in_plane(curves.spline(points, 48), "xz")
        mesh = solids.tube(path, p.handle_thickness, section=section, up=(0.0, 1.0, 0.0))
        result.append(Part("handle", mesh, p.trim))
    if p.handle in ("back", "both"):
        low_z = 0.22 * top_z
        low_r = float(np.interp(low_z, outer[:, 1], outer[:, 0]))
        high_z = 0.86 * top_z
        high_r = float(np.interp(high_z, outer[:, 1], outer[:, 0]))
        reach = max(low_r, high_r) + 0.22
        points = [(high_r - 0.01, high_z), (0.6 * reach + 0.4 * high_r, high_z + 0.08), (reach, 0.62 * top_z),
                  (0.6 * reach + 0.4 * low_r, low_z - 0.02), (low_r - 0.01, low_z)]  # fmt: skip
        path = curves.in_plane(curves.spline(points, 48), "xz")
        mesh = solids.tube(path, p.handle_thickness, section=section, up=(0.0, 1.0, 0.0))
        result.append(Part("handle", mesh, p.trim))
    return result
