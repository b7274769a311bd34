"""Which classes of material the objects of each embedded family may have: what a split that holds out glass,
or cloth, leaves away.

Classes are those of `datagen.blender.materials.material_kinds.CLASSES`; an object's own are in the `placed`
of its sample's parameters. A test draws objects and finds none of a class that is not here.
"""

FAMILY_MATERIALS: dict[str, frozenset[str]] = {
    family: frozenset(classes.split())
    for family, classes in {
        "alarm_clock": "ceramic metal paint plastic rubber wood",
        "bag": "cloth leather metal plastic",
        "books": "cloth leather metal paint paper plastic",
        "bottle": "ceramic earth glass liquid metal paint paper plastic",
        "box": "cloth metal paint paper plastic wood",
        "camera": "cloth glass leather metal paint plastic rubber",
        "candle": "ceramic cloth glass metal paint paper plastic stone wax wood",
        "kettle": "glass metal paint plastic rubber wood",
        "chair": "cloth leather metal paint plastic wood",
        "cushion": "cloth leather metal plastic",
        "drinking_glass": "cloth earth glass leather liquid metal paint plastic rubber stone wood",
        "fruit_bowl": "ceramic earth glass metal paint plastic stone wax wood",
        "guitar": "glass metal paint plastic wood",
        "hand_tool": "cloth metal paint plastic rubber wood",
        "mannequin": "cloth leather metal paint plastic rubber skin stone wood",
        "mug": "ceramic earth glass liquid metal paint",
        "potted_plant": "ceramic earth foliage metal paint plastic stone wood",
        "shoe": "cloth leather metal plastic rubber",
        "statue": "ceramic earth metal paint stone wax wood",
        "table_lamp": "ceramic cloth glass metal paint plastic rubber stone wood",
        "teapot": "ceramic earth metal paint plastic wood",
        "teddy_bear": "cloth glass leather plastic",
        "tin_can": "ceramic glass liquid metal paint paper plastic rubber",
        "toy_car": "glass metal paint plastic rubber wood",
        "vase": "ceramic cloth earth glass metal paint stone wax wood",
        "vegetable": "earth paint plastic wax wood",
        "watering_can": "metal paint plastic",
    }.items()
}


def families_without(held_out: frozenset[str], families: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `families` that can have no material of the classes `held_out`; one that is not listed may
    have any.
    """
    return tuple(
        name for name in families if name in FAMILY_MATERIALS and not FAMILY_MATERIALS[name] & held_out
    )
