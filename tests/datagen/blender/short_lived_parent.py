"""Run by a test: start Blender, print its pid, and wait to be killed in a load that never ends."""

import sys
from pathlib import Path

from pairbridge.datagen.blender.client import BlenderClient, ProcessLimits
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.scene.specs import ObjectSpec

folder, easy, endless = map(Path, sys.argv[1:])
client = BlenderClient(
    RenderSettings(),
    scratch_dir=folder,
    log_path=folder / "log",
    threads=1,
    limits=ProcessLimits(request_timeout_s=300),
    object_folders=(easy.parent, endless.parent),
)
client.load_object(ObjectSpec(path=easy))
print(client.pid, flush=True)
client.load_object(ObjectSpec(path=endless))
