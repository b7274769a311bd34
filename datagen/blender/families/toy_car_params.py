"""What a toy car is drawn from: silhouettes, proportions, extras and materials."""

from dataclasses import dataclass, replace

import numpy as np

from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import material_rand
from pairbridge.datagen.scene import palette

# Deck line of the body from nose to tail: (y, z), the car one unit long; then the cabin's extent in y and its
# height.
STYLES: dict[str, tuple[tuple[tuple[float, float], ...], tuple[float, float, float]]] = {
    "saloon": (((-0.5, 0.2), (-0.47, 0.235), (-0.2, 0.27), (0.28, 0.27), (0.48, 0.245), (0.5, 0.2)),
        (-0.24, 0.32, 0.17)),
    "van": (((-0.5, 0.22), (-0.49, 0.27), (-0.38, 0.3), (0.4, 0.3), (0.5, 0.29), (0.5, 0.2)),
        (-0.42, 0.49, 0.24)),
    "pickup": (((-0.5, 0.22), (-0.48, 0.265), (-0.22, 0.29), (0.1, 0.28), (0.5, 0.28), (0.5, 0.2)),
        (-0.22, 0.12, 0.2)),
    "beetle": (((-0.5, 0.17), (-0.46, 0.24), (-0.22, 0.29), (0.2, 0.29), (0.44, 0.24), (0.5, 0.16)),
        (-0.26, 0.32, 0.21)),
    "racer": (((-0.5, 0.12), (-0.46, 0.15), (-0.1, 0.22), (0.25, 0.24), (0.47, 0.2), (0.5, 0.14)),
        (0.0, 0.0, 0.0)),
}  # fmt: skip

# Between tyre and arch.
ARCH_GAP = 0.018


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyCarParams:
    """Lengths in units of the car's length; the nose points to -y."""

    style: str
    width: float
    clearance: float
    lift: float
    bevel: float
    wheel_radius: float
    wheel_width: float
    axles: tuple[float, float]
    spokes: int
    tread: int
    cabin_taper: float
    windscreen: float
    rear_window: float
    side_windows: int
    rack: bool
    stripes: int
    key: bool
    cargo: int
    helmet: float
    body: Material
    roof: Material
    trim: Material
    tyre: Material
    rim: Material
    window: Material
    lamp: Material
    tail: Material
    stripe: Material
    dark: Material


def toy_car_rand(rng: np.random.Generator) -> ToyCarParams:
    shape, wheels, extras, skin = rng.spawn(4)
    style = sorted(STYLES)[shape.integers(len(STYLES))]
    radius, axles = wheels.uniform(0.088, 0.115), (wheels.uniform(-0.33, -0.28), wheels.uniform(0.27, 0.32))
    body = material_rand(
        skin, ("car_paint", "car_paint", "painted", "plastic", "plastic", "wood", "metal", "veneer")
    )
    two_tone = skin.uniform() < 0.5
    trim = material_rand(skin, ("metal",))
    tyre = material_rand(
        skin, ("wood", "plastic") if body.kind == "wood" and skin.uniform() < 0.5 else ("rubber",)
    )
    plain = material_rand(skin, ("plastic",))
    return ToyCarParams(
        style=style,
        width=shape.uniform(0.4, 0.5),
        clearance=shape.uniform(0.06, 0.085),
        lift=max(shape.uniform(-0.01, 0.035), _arch_room(style, radius, axles)),
        bevel=shape.uniform(0.018, 0.035),
        wheel_radius=radius,
        wheel_width=wheels.uniform(0.075, 0.11),
        axles=axles,
        spokes=int(wheels.integers(0, 11)),
        tread=int(wheels.choice([0, 24, 36])),
        cabin_taper=shape.uniform(0.72, 0.86),
        windscreen=shape.uniform(0.25, 0.5),
        rear_window=shape.uniform(0.05, 0.35),
        side_windows=int(shape.integers(2, 4)) + (style == "van"),
        rack=bool(extras.uniform() < 0.3),
        stripes=int(extras.choice([0, 0, 1, 2])),
        key=bool(extras.uniform() < 0.15),
        cargo=int(extras.integers(0, 4)),
        helmet=extras.uniform(0.055, 0.07),
        body=body,
        roof=material_rand(skin, (body.kind, "painted")) if two_tone else body,
        trim=trim,
        tyre=tyre,
        rim=trim if skin.uniform() < 0.6 else material_rand(skin, ("plastic", "painted", "metal")),
        window=material_rand(skin, ("pane",)),
        lamp=replace(plain, kind="plastic", roughness=0.16, bump=0.0, colour=palette.hsv(0.13, 0.2, 0.92)),
        tail=replace(plain, kind="plastic", roughness=0.18, bump=0.0, colour=palette.hsv(0.0, 0.85, 0.6)),
        stripe=material_rand(skin, ("painted",)),
        dark=material_rand(skin, ("rubber",)),
    )


def _arch_room(style: str, radius: float, axles: tuple[float, float]) -> float:
    """Lift that keeps the deck above the wheel arches, which would otherwise cut the body in pieces.

    Racers have open wheels and need none.
    """
    if style == "racer":
        return 0.0
    deck = np.array(STYLES[style][0])
    lowest = min(np.interp([y - radius, y, y + radius], deck[:, 0], deck[:, 1]).min() for y in axles)
    return float(2 * radius + ARCH_GAP + 0.025 - lowest)
