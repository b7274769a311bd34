"""Environment maps as they are used: reading, exposure, backgrounds, grounds that they show, and light maps.

Those that are made here have rooms of their own: `outdoor`, `indoor`, and `baking`, which bakes them, skies,
rigs and blends once per dataset. Imports the rooms below `blender`, and none of these three.
"""
