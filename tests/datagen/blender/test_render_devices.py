"""Which device renders, on plain values: no machine that runs these tests has a GPU for Blender."""

import itertools
import multiprocessing
import time
from pathlib import Path

import pytest

from pairbridge.datagen.blender.render_devices import DeviceMissing, check_kept, devices_to_use, one_at_a_time
from pairbridge.pipelines.workers.pools import gpu_share

# What Blender lists on a machine with two NVIDIA cards.
NVIDIA = ["CUDA", "CUDA", "OPTIX", "OPTIX", "CPU"]


@pytest.mark.parametrize(
    ("device", "found", "used"),
    [
        ("optix", NVIDIA, [False, False, True, True, False]),
        ("cuda", NVIDIA, [True, True, False, False, False]),
        ("hip", ["HIP", "CPU"], [True, False]),
        ("oneapi", ["ONEAPI"], [True]),
        ("metal", ["CPU", "METAL"], [False, True]),
    ],
)
def test_all_devices_of_the_asked_kind_render_and_no_other(
    device: str, found: list[str], used: list[bool]
) -> None:
    assert devices_to_use(device, found) == tuple(used)


@pytest.mark.parametrize("found", [[], ["CPU"], ["CUDA", "OPTIX", "CPU"]])
def test_a_missing_gpu_is_an_error_and_never_the_cpu(found: list[str]) -> None:
    with pytest.raises(DeviceMissing, match=r"render\.device is 'hip'") as missing:
        devices_to_use("hip", found)
    assert ("CUDA" in missing.value.cause) == ("CUDA" in found)


def test_what_blender_keeps_is_asked_back() -> None:
    check_kept("optix", "OPTIX", ["OPTIX"])
    # A reset drops the preferences in silence; a device beside the asked one is as wrong.
    for kind, used in (("NONE", []), ("OPTIX", []), ("CUDA", ["CUDA"]), ("OPTIX", ["OPTIX", "CPU"])):
        with pytest.raises(DeviceMissing, match="did not keep 'optix'"):
            check_kept("optix", kind, used)


@pytest.mark.parametrize(
    ("workers", "gpus", "per_gpu", "share"),
    [
        (1, 1, None, 1),
        (2, 1, None, 0.5),
        (3, 2, None, 0.5),
        (8, 2, None, 0.25),
        (4, 2, 4, 0.25),
        (1, 4, 2, 0.5),
    ],
)
def test_every_worker_finds_a_place_on_a_whole_card(
    workers: int, gpus: int, per_gpu: int | None, share: float
) -> None:
    assert gpu_share(workers, gpus, per_gpu) == share
    assert int(1 / share) * gpus >= workers


def hold(folder: Path, times: list) -> None:
    with one_at_a_time(folder):
        began = time.monotonic()
        time.sleep(0.1)
        times.append((began, time.monotonic()))


def test_processes_warm_up_one_after_another(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager:
        times = manager.list()
        workers = [context.Process(target=hold, args=(tmp_path, times)) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        spans = sorted(times)
    assert len(spans) == 3
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))


@pytest.mark.render
def test_a_warm_up_renders_and_leaves_a_process_that_works(tmp_path: Path) -> None:
    import numpy as np

    from pairbridge.datagen.assets.exr_files import write_exr
    from pairbridge.datagen.blender.client import BlenderClient, ProcessLimits
    from pairbridge.datagen.blender.render_settings import RenderSettings
    from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec

    write_exr(tmp_path / "light.exr", np.full((8, 16, 3), 0.5, np.float32))
    seen = []
    for warmed in (False, True):
        with BlenderClient(
            RenderSettings(samples=2),
            scratch_dir=tmp_path,
            log_path=tmp_path / "log",
            threads=1,
            limits=ProcessLimits(request_timeout_s=120, warm_up_timeout_s=1200),
        ) as blender:
            if warmed:
                blender.warm_up()
            blender.load_object(ObjectSpec(family="mug", seed=1))
            blender.set_camera(CameraSpec(azimuth_rad=0.0, elevation_rad=0.2, fov_x_rad=0.6), (32, 32))
            passes = blender.render(environment_path=tmp_path / "light.exr", seed=1)
            seen.append(passes.rgba)
    assert (seen[0] == seen[1]).all()
