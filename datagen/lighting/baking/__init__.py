"""Environment maps that are made here, baked once per dataset: skies, rigs, blends, outdoor maps, interiors.

Imports the other rooms of `lighting`; what is rendered is rendered by whatever fulfils `baked.SkyBaker`.
"""
