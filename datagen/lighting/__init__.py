"""Environment maps: reading, exposure, backgrounds, light maps, and the skies, rigs and blends that are
baked.

Imports the rooms below `blender`; a sky is rendered by whatever fulfils `baked.SkyBaker`.
"""
