"""Where groups are made: the worker and its logs, Ray's actors, pools and sessions, files for other machines.

Hands out `GroupWorker`, `crew_of`, `pools_of` and `ray_session`. Ray stays in this room, in the exported
metrics and in cost measuring. It must not import `generation` or anything above it.
"""
