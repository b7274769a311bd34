"""Run by a test in a process of its own: an object lit by the live sky, without a panorama in between.

Arguments: object file, sky as JSON, camera as JSON, side in pixels, the EXR to write.
"""

import dataclasses
import json
import os
import sys
from pathlib import Path

import bpy

from pairbridge.datagen.assets.object_rules import ObjectRules
from pairbridge.datagen.blender.child.passes import render_to
from pairbridge.datagen.blender.child.session import Session
from pairbridge.datagen.blender.child.sky import sky_nodes
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.blender.wire import encode_line
from pairbridge.datagen.scene.specs import ObjectSpec, PlacedObject, SceneSpec, SkySpec

obj, sky, camera, side, out = sys.argv[1:]
session = Session(RenderSettings(samples=256), threads=2, image_path=out, rules=ObjectRules(), addons=())
scene = SceneSpec(objects=(PlacedObject(object=ObjectSpec(path=Path(obj))),))
# As it arrives on the pipe: a plain JSON value.
session.load_scene(json.loads(encode_line(dataclasses.asdict(scene))))
session.set_camera(json.loads(camera), [int(side), int(side)])
world = bpy.data.worlds.new("live sky")
bpy.context.scene.world = world
sky_nodes(world, SkySpec(**json.loads(sky)))
bpy.context.scene.render.film_transparent = True
bpy.context.scene.cycles.seed = 1
render_to(out)
os._exit(0)
