"""Outdoor maps: the physical sky, clouds before it, a ground, and what stands on the horizon; NumPy alone.

`outdoors.outdoor_map` is the whole of it. Imports `lighting` alone.
"""
