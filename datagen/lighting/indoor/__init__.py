"""Interiors: rooms with windows, lamps and furniture, drawn by seed; Blender renders maps of them. Pure.

`interiors.interior_spec` is the whole of it. Imports `outdoor` (what lies behind the windows) and `scene`.
"""
