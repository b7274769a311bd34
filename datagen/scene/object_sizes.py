"""How large things are in reality: a row for each family, and what of it a plan draws. In metres."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from pairbridge.datagen.core.random_draws import Range, log_uniform
from pairbridge.datagen.scene.specs import PlacedObject, ReceiverSpec, SceneSpec


@dataclass(frozen=True, slots=True)
class FamilyFacts:
    """`size_m` are the least and largest length of the longest side of a family's bounding box; whether its
    objects stand by themselves, may lie, are put leaning against walls and others (as far as they are flat or
    long), and carry something on top of them, as people put it there: a pot on a box, not on a vase.
    """

    size_m: Range
    stands: bool = True
    lies: bool = True
    leans: bool = False
    carries: bool = False


# Sizes of what shops sell: a mug of 0.3 l is 9 to 11 cm high and 11 to 13 cm wide with its handle, a chair's
# back ends at 75 to 105 cm, an EU 38 to 46 shoe is 25 to 31 cm long, a classical guitar 97 to 102 cm.
# A bottle of 0.33 to 0.75 l is 20 to 32 cm high, a drinking glass 9 to 24, a tin 7 (fish) to 23 (paint),
# a book 18 to 30 and a row of them longer; an apple is 7 to 8 cm wide, and a bowl holds six to twelve.
# A handbag is 22 to 40 cm wide, a duffel 45 to 60; cushions are sold at 40 to 60 cm; a hammer is 28 to 35 cm
# long, a screwdriver 18 to 30; busts and figurines are 20 to 60 cm high; a tomato is 7 cm wide and
# a pumpkin up to 35.
FAMILY_FACTS: dict[str, FamilyFacts] = {
    "alarm_clock": FamilyFacts((0.09, 0.18), lies=False),
    "bag": FamilyFacts((0.28, 0.58), leans=True),
    "books": FamilyFacts((0.19, 0.34), leans=True, carries=True),
    "bottle": FamilyFacts((0.18, 0.33)),
    "box": FamilyFacts((0.14, 0.55), leans=True, carries=True),
    "camera": FamilyFacts((0.11, 0.16)),
    "candle": FamilyFacts((0.10, 0.28), lies=False),
    "chair": FamilyFacts((0.75, 1.05), lies=False, carries=True),
    "cushion": FamilyFacts((0.38, 0.62), leans=True),
    "drinking_glass": FamilyFacts((0.09, 0.24)),
    "fruit_bowl": FamilyFacts((0.20, 0.34), lies=False),
    "guitar": FamilyFacts((0.95, 1.05), stands=False, leans=True),
    "hand_tool": FamilyFacts((0.17, 0.35), stands=False, leans=True),
    "kettle": FamilyFacts((0.22, 0.34), lies=False),
    "mannequin": FamilyFacts((1.65, 1.90), lies=False),
    "mug": FamilyFacts((0.10, 0.14), carries=True),
    "potted_plant": FamilyFacts((0.20, 0.90), lies=False),
    "shoe": FamilyFacts((0.25, 0.31)),
    "statue": FamilyFacts((0.18, 0.60), lies=False),
    "table_lamp": FamilyFacts((0.30, 0.65), lies=False),
    "teapot": FamilyFacts((0.18, 0.28)),
    "teddy_bear": FamilyFacts((0.20, 0.50)),
    "tin_can": FamilyFacts((0.08, 0.24), carries=True),
    "toy_car": FamilyFacts((0.07, 0.30)),
    "vase": FamilyFacts((0.15, 0.45)),
    "vegetable": FamilyFacts((0.08, 0.32)),
    "watering_can": FamilyFacts((0.28, 0.48)),
}
# Of a family without a row; a test asks for one.
USUAL = FamilyFacts((0.10, 0.60))
# What a file holds is not known: it may be flat or long, and have a top.
UNKNOWN = FamilyFacts(USUAL.size_m, leans=True, carries=True)
# People from files that do not say how tall they are: adults, standing.
PERSON = FamilyFacts((1.55, 1.90), lies=False)
# A file without a size that stands beside others is at most this much larger or smaller than the first.
_BESIDE = 2.0


def facts_of(family: str) -> FamilyFacts:
    return FAMILY_FACTS.get(family, USUAL)


@dataclass(frozen=True, slots=True)
class SizeWindow:
    """The sizes in metres that what joins a scene may have, so that none of it is a crumb beside another."""

    low_m: float = 0.0
    high_m: float = float("inf")

    @classmethod
    def beside(cls, sizes_m: list[float], ratio: float) -> "SizeWindow":
        """Within a factor of `ratio` of each of those that are there."""
        return cls(max(sizes_m) / ratio, min(sizes_m) * ratio) if sizes_m else cls()

    def within(self, low_m: float = 0.0, high_m: float = float("inf")) -> "SizeWindow":
        return SizeWindow(max(self.low_m, low_m), min(self.high_m, high_m))

    def holds_some_of(self, size_m: Range) -> bool:
        return self.low_m <= size_m[1] and size_m[0] <= self.high_m

    def draw(self, rng: np.random.Generator, size_m: Range) -> float:
        """Log-uniform, in what the window leaves of a range, or in all of it where that is nothing."""
        low, high = max(size_m[0], self.low_m), min(size_m[1], self.high_m)
        return log_uniform(rng, (low, high) if low <= high else size_m)


def range_beside(first_m: float | None) -> Range:
    """Of a thing from a file that does not say how large it is; `first_m` is the scene's first object's."""
    return (first_m / _BESIDE, first_m * _BESIDE) if first_m else USUAL.size_m


def settled_sizes(
    scene: SceneSpec, stated_m: list[float | None], believed_m: tuple[float, float]
) -> list[PlacedObject]:
    """The objects of a scene with the sizes that they have once their files were read: what a file states
    takes the place of a size that was only drawn, where it is plausible and leaves no two sizes farther apart
    than the scene allows.
    """
    objects = list(scene.objects)
    for number, (placed, stated) in enumerate(zip(scene.objects, stated_m, strict=True)):
        if placed.size_from == "catalogue" or placed.size_m is None or stated is None:
            continue
        sizes = [one.size_m for one in objects]
        sizes[number] = stated
        # To rounding: sizes were drawn up to the ratio itself.
        close = max(sizes) <= 1.000001 * scene.size_ratio * min(sizes)
        if believed_m[0] <= stated <= believed_m[1] and close:
            objects[number] = dataclasses.replace(placed, size_m=stated, size_from="file")
    return objects


def at_scale(receiver: ReceiverSpec, metres_per_unit: float | None) -> ReceiverSpec:
    """A receiver whose pattern has its real size, where the scene's units have one."""
    surface = receiver.surface
    if metres_per_unit is None or surface.cell_m is None:
        return receiver
    cell = surface.cell_m / metres_per_unit
    return dataclasses.replace(receiver, surface=dataclasses.replace(surface, cell=cell))
