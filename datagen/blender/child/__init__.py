"""The child process: `server` answers the parent's requests with the one `session` it keeps. Needs bpy.

Nothing outside imports it; only `addons` and `camera_framing` work without bpy.
"""
