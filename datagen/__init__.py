"""What a pair is and how one is made, as a plain library: no Ray, and nothing of `training` or `pipelines`.

Rooms, low to high; each imports from those before it: `core`, `shards`, `imaging`, `assets`, `scene`,
`lighting`, `blender`, `models`, `recipes`, `dataset`, `imports`, `exports`.
"""
