"""Blender in a child process: a parent side that never imports bpy, and a child side that is bpy's only home.

Parent side: `client` (the requests), `process` (the process, its pipes and log), `wire` (what travels),
`render_settings`, `exr_passes`. Child side, started by the parent and imported by nothing: `child`, which
uses `families`, `modelling`, `materials` and `shading`. Imports the rooms up to `lighting`.

Arrays come back as one multilayer EXR in anonymous shared memory (a memfd that both sides hold): it needs no
name to clean up after a kill, and no space in /dev/shm, which containers often limit to 64 MiB.
"""
