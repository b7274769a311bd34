"""What is rendered, as frozen values: objects, surfaces, receivers, lamps, cameras, frame sizes, and draws
of them.

`specs` states the coordinate conventions that everything else follows. Free of Blender, files and the
catalogue; imports `core` and `imaging`.
"""
