"""What a mannequin wears, as soft fields a little outside its body: cloth falls, creases and ends in hems."""

from dataclasses import dataclass

import numpy as np

from pairbridge.datagen.blender.families.mannequin_body import (
    ARM_RADII,
    FOREARM_RADII,
    SHIN_RADII,
    THIGH_RADII,
    Figure,
    foot_axes,
    shoe,
    trunk,
    with_arm,
)
from pairbridge.datagen.blender.families.mannequin_pose import HIP_HEIGHT, Joints
from pairbridge.datagen.blender.modelling import solids
from pairbridge.datagen.blender.modelling.implicit import (
    Field,
    beyond,
    bone,
    common,
    merged,
    ripples,
    surface,
)
from pairbridge.datagen.blender.modelling.meshes import Mesh, loft

Array = np.ndarray
Waves = tuple[tuple[float, float, float, float], ...]
CELL = 0.0075
HEM = 0.004  # softness of a cloth's edge


@dataclass(frozen=True, slots=True, kw_only=True)
class Outfit:
    """Lengths of sleeves and legs are shares of the limb; `hem` is the shirt's rise above the hips, below 0
    where it hangs out; eases are how far cloth stands off, in heights of the figure."""

    sleeves: float
    hem: float
    collar: str
    ease: float
    jacket: bool
    jacket_hem: float
    neckline: float
    bottom: str
    legs: float
    flare: float
    skirt_length: float
    creases: float
    waves: Waves
    toes: float


def _drape(q: Array, o: Outfit, share: float = 1.0) -> Array:
    """How far creases lift cloth: rounded ridges with flat ground between them."""
    crest = ripples(q, np.array(o.waves))
    return share * o.creases * (0.55 * crest + 0.6 * np.abs(crest) - 0.3)


def _sleeve(q: Array, j: Joints, f: Figure, ease: float, reach: float) -> Array:
    """A sleeve over `reach` of the arm: 0.5 ends at the elbow."""
    upper = np.array(ARM_RADII) * f.build + ease + np.array((0.004, 0.003, 0.001, 0.0))
    end = j.elbow if reach >= 0.5 else j.shoulder + 2 * reach * (j.elbow - j.shoulder)
    if reach < 0.5:
        flared = np.array((upper[0], upper[1], upper[1] + 0.002, upper[1] + 0.003))
        limb = bone(q, j.shoulder, j.elbow, flared)
        return common(limb, beyond(q, end, end - j.shoulder), HEM)
    limb = bone(q, j.shoulder, j.elbow, upper)
    if reach > 0.5:
        lower = np.array(FOREARM_RADII) * f.build + ease
        fore = bone(q, j.elbow, j.wrist, np.maximum(lower, lower[-1] + 0.003))
        end = j.elbow + (2 * reach - 1) * (j.wrist - j.elbow)
        fore = common(fore, beyond(q, end, j.wrist - j.elbow), HEM)
        return merged(limb, fore, 0.015)
    return common(limb, beyond(q, end, j.elbow - j.shoulder), HEM)


def _top(q: Array, f: Figure, o: Outfit, ease: float, hem: float, sleeves: float, slack: float) -> Array:
    result = trunk(q, f, ease, slack)
    if hem < 0:
        # Cloth hangs straight from the hips down to its hem.
        for rise in np.arange(0.0, hem - 0.036, -0.036):
            half = 0.035 * f.build
            across = bone(q, f.at(-half, 0, rise), f.at(half, 0, rise), 0.061 * f.build + ease)
            result = merged(result, across, 0.03)
    if sleeves > 0:
        for j in f.sides().values():
            result = with_arm(q, result, _sleeve(q, j, f, ease, sleeves), j)
    result = result - _drape(q, o)
    return common(result, -beyond(q, f.at(0, 0, hem), (0, 0, 1)), HEM)


def _neckhole(q: Array, f: Figure, depth: float, width: float) -> Array:
    """What a neckline takes away: round the neck, and down the chest in a V of `depth`."""
    hole = bone(q, f.at(0, 0.004, 0.312), f.at(0, -0.02, 0.4), (0.032 + width, 0.06))
    if depth > 0:
        low = f.at(0.0, -0.14, 0.3 - depth)
        vee = bone(q, low, f.at(0.0, -0.1, 0.34), (0.012, 0.05))
        vee = np.minimum(vee, bone(q, f.at(0, -0.05, 0.3 - depth), f.at(0, -0.03, 0.34), (0.006, 0.045)))
        hole = merged(hole, vee, 0.02)
    return hole


def _box(points: list[Array], margin: float) -> tuple[Array, Array]:
    stacked = np.array(points)
    return stacked.min(axis=0) - margin, stacked.max(axis=0) + margin


def _mesh(field: Field, points: list[Array], margin: float, cell: float = CELL) -> Mesh:
    return surface(field, *_box(points, margin), cell)


def tops(f: Figure, o: Outfit) -> list[tuple[str, Mesh]]:
    """Shirt, collar and jacket, as (name, mesh)."""
    sides = f.sides()
    arms = [place for j in sides.values() for place in (j.shoulder, j.elbow, j.wrist)]
    frame = [
        *arms,
        f.at(0, -0.09, 0.1),
        f.at(0, 0.09, 0.1),
        f.at(0, 0, 0.32),
        f.at(0.1, 0, -0.02),
        f.at(-0.1, 0, -0.02),
    ]

    def shirt(q: Array) -> Array:
        cloth = _top(q, f, o, o.ease, o.hem, o.sleeves, 0.5 if o.jacket else 0.9)
        return common(cloth, -_neckhole(q, f, 0.0 if o.collar == "shirt" else o.neckline * 0.5, 0.004), HEM)

    result = [("shirt", _mesh(shirt, frame, 0.11))]
    if o.collar != "none":
        result.append(
            (
                "collar",
                _mesh(lambda q: _collar(q, f, o), [f.at(0, 0, 0.3), f.at(0, -0.02, 0.35)], 0.085, 0.004),
            )
        )
    if not o.jacket:
        return result

    def jacket(q: Array) -> Array:
        cloth = _top(q, f, o, o.ease + 0.009, o.jacket_hem, 0.97, 1.0)
        cloth = common(cloth, -_neckhole(q, f, 0.1, 0.012), HEM)
        # The front edges part below the button.
        level = np.array([1.0, 0.0, 1.0])
        slit = bone(q * level, f.at(0, 0, -0.13) * level, f.at(0, 0, 0.12) * level, (0.03, 0.004, 0.002))
        slit = np.maximum(slit, q[:, 1] - f.at(0, -0.02, 0.05)[1])
        return common(cloth, -slit, 0.003)

    result.append(("jacket", _mesh(jacket, [*frame, f.at(0, 0, o.jacket_hem)], 0.14, 0.0088)))
    result.append(
        (
            "lapels",
            _mesh(lambda q: _lapels(q, f, o), [f.at(0, -0.06, 0.2), f.at(0, 0.02, 0.35)], 0.11, 0.0048),
        )
    )
    for rise in (0.115, 0.155):
        front = f.at(0.004, -(0.058 * f.build + o.ease + 0.012 + 0.02 * f.bust), rise)
        result.append(("button", solids.ellipsoid(0.005, 0.003, 0.005, 16).moved(*front)))
    return result


def _collar(q: Array, f: Figure, o: Outfit) -> Array:
    """A band of cloth around the neck, or a shirt's collar that stands and folds over."""
    thick = 0.0028
    if o.collar == "band":
        around = np.abs(bone(q, f.at(0, 0.008, 0.29), f.at(0, -0.006, 0.36), (0.0365, 0.034))) - thick
        return common(
            common(around, beyond(q, f.at(0, 0, 0.327), (0, -0.35, 1)), 0.003),
            -beyond(q, f.at(0, 0, 0.306), (0, -0.35, 1)),
            0.003,
        )
    if o.collar == "hood":
        return bone(q, f.at(-0.035, 0.042, 0.315), f.at(0.035, 0.042, 0.315), 0.024) - _drape(q, o)
    stand = np.abs(bone(q, f.at(0, 0.008, 0.28), f.at(0, -0.006, 0.36), (0.043, 0.0335))) - thick
    stand = common(
        common(stand, beyond(q, f.at(0, 0, 0.338), (0, -0.5, 1)), 0.003),
        -beyond(q, f.at(0, 0, 0.308), (0, -0.6, 1)),
        0.003,
    )
    opening = bone(q, f.at(0, -0.06, 0.29), f.at(0, -0.06, 0.35), (0.001, 0.014))
    return common(stand, -opening, 0.003)


def _lapels(q: Array, f: Figure, o: Outfit) -> Array:
    """The jacket's front turned back along the neckline: a strip just outside the cloth."""
    cloth = trunk(q, f, o.ease + 0.0115, 1.0) - _drape(q, o)
    for j in f.sides().values():
        cloth = with_arm(q, cloth, _sleeve(q, j, f, o.ease + 0.0115, 0.5), j)
    shell = np.abs(cloth) - 0.0028
    hole = _neckhole(q, f, 0.1, 0.012)
    return common(common(shell, hole - 0.021, 0.002), -(hole - 0.001), 0.002)


def bottoms(f: Figure, o: Outfit) -> list[tuple[str, Mesh]]:
    if o.bottom == "skirt":
        return [("skirt", skirt(f, o))]
    sides = f.sides()

    def trousers(q: Array) -> Array:
        ease = 0.006
        hips = trunk(q, f, ease + 0.002)
        legs = None
        for j in sides.values():
            thigh = np.array(THIGH_RADII) * f.build + ease
            shin = np.array(SHIN_RADII) * f.build + ease
            # Trouser legs fall from the calf's width; the flare widens them towards the hem.
            shin = np.maximum(shin, np.linspace(shin[1], shin[1] * o.flare * 0.92, len(shin)))
            limb = bone(q, j.hip, j.knee, thigh)
            if o.legs > 0.5:
                end = j.knee + (2 * o.legs - 1) * (j.ankle - j.knee)
                lower = common(bone(q, j.knee, j.ankle, shin), beyond(q, end, j.ankle - j.knee), HEM)
                limb = merged(limb, lower, 0.012)
            else:
                end = j.hip + 2 * o.legs * (j.knee - j.hip)
                limb = common(
                    bone(q, j.hip, j.knee, np.maximum(thigh, thigh[2] + 0.006)),
                    beyond(q, end, j.knee - j.hip),
                    HEM,
                )
            legs = limb if legs is None else merged(legs, limb, 0.005)
        result = merged(common(hips, beyond(q, f.at(0, 0, 0.1), (0, 0, 1)), HEM), legs, 0.025)
        result = result - _drape(q, o, 0.85)
        return common(result, beyond(q, f.at(0, 0, 0.088), (0, 0, 1)), HEM)

    places = [place for j in sides.values() for place in (j.hip, j.knee, j.ankle)]
    result = [("trousers", _mesh(trousers, [*places, f.at(0, 0, 0.09)], 0.11))]

    def belt(q: Array) -> Array:
        return common(trunk(q, f, 0.0115), np.abs(beyond(q, f.at(0, 0, 0.079), (0, 0, 1))) - 0.0085, 0.003)

    result.append(("belt", _mesh(belt, [f.at(-0.1, 0, 0.08), f.at(0.1, 0, 0.08)], 0.09)))
    return result


def skirt(f: Figure, o: Outfit) -> Mesh:
    """From the waist over hips and legs, wide enough for both, with folds that open downwards."""
    sides = f.sides()
    angle = np.arange(128) * 2 * np.pi / 128
    knees = np.array([j.knee for j in sides.values()])
    ankles = np.array([j.ankle for j in sides.values()])
    # A hem below the knees follows the shins.
    ends = knees + max(0.0, o.skirt_length - 1) * (ankles - knees)
    waist_z = HIP_HEIGHT + 0.092
    hem_z = waist_z + min(o.skirt_length, 1.0) * (float(knees[:, 2].min()) - waist_z)
    if o.skirt_length > 1:
        hem_z = float(ends[:, 2].min())
    waves = np.array(o.waves)
    rows = []
    for t in np.linspace(0, 1, 48):
        z = (1 - t) * waist_z + t * hem_z
        rise = z - HIP_HEIGHT
        wide = float(np.interp(rise, (-0.05, 0.0, 0.05, 0.09), (0.1, 0.099, 0.09, 0.075))) * f.build + 0.014
        wide *= 1 + (o.flare - 1) * t * t
        middle = t * t * ends.mean(axis=0)
        stride = t * (0.5 * float(np.ptp(ends[:, 1])))
        aside = t * 0.5 * max(0.0, float(np.ptp(ends[:, 0])) - 0.1)
        round_z = np.column_stack([np.cos(angle), np.sin(angle), np.full(128, 0.25 * t)])
        fold = ripples(round_z * 0.13, waves)
        depth = 1 + 0.11 * t**1.3 * fold
        centre = f.at(0, 0, max(rise, 0.0))
        x = centre[0] * (1 - t) + middle[0] + (wide + aside) * depth * np.cos(angle)
        y = centre[1] * (1 - t) + middle[1] + (0.84 * wide + stride) * depth * np.sin(angle)
        rows.append(np.column_stack([x, y, z + 0.006 * t * fold]))
    return loft(np.array(rows)[::-1]).at_rest()


def shoes(f: Figure, o: Outfit) -> list[tuple[str, Mesh]]:
    result = []
    for j in f.sides().values():
        toes, down = foot_axes(j)
        box = [j.ankle, j.ankle + 0.11 * toes, j.ankle + 0.045 * down]

        def upper(q: Array, j: Joints = j, toes: Array = toes, down: Array = down) -> Array:
            return shoe(q, j, toes, down, o.toes)[0]

        def sole(q: Array, j: Joints = j, toes: Array = toes, down: Array = down) -> Array:
            return shoe(q, j, toes, down, o.toes)[1]

        result += [("shoe", _mesh(upper, box, 0.05, 0.0048)), ("sole", _mesh(sole, box, 0.05, 0.0048))]
    return result
