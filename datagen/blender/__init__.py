"""Blender in a child process: a parent side that never imports bpy, and a child side that is bpy's only home.

Parent side: `client` (the process and its requests), `protocol` (what travels), `settings`, `errors`, `exr`.
Child side, started by the client alone: `server`, `scene`, `imports`, `framing`, `world`, `sky`, `passes`.

Arrays come back as one multilayer EXR in anonymous shared memory (a memfd that both sides hold): it needs no
name to clean up after a kill, and no space in /dev/shm, which containers often limit to 64 MiB.
"""
