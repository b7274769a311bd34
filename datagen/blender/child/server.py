"""The Blender process at work: reads one JSON request a line, answers one JSON line, until its pipe closes.

Standard output and error are the worker's log, because Blender floods them from C; replies have a pipe of
their own. Called by `entry` alone, in a process that is confined.
"""

import argparse
import contextlib
import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pairbridge.datagen.assets.object_rules import AddonConfig, ObjectRules
from pairbridge.datagen.blender.child.addons import AddonUnusable, install
from pairbridge.datagen.blender.render_devices import DeviceMissing
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.blender.wire import decode_line, encode_line
from pairbridge.datagen.core.errors import AssetError, FileUnreadable


def serve(arguments: argparse.Namespace) -> None:
    """Answer what comes through the pipe of requests until it closes."""
    settings = RenderSettings.model_validate_json(arguments.settings)
    rules = ObjectRules.model_validate_json(arguments.object_rules)
    addons = tuple(AddonConfig.model_validate_json(addon) for addon in arguments.addon)
    with (
        os.fdopen(arguments.requests_fd, "rb") as requests,
        os.fdopen(arguments.replies_fd, "wb", 0) as replies,
    ):
        try:
            install(addons, Path(os.environ["BLENDER_USER_RESOURCES"]))
        except AddonUnusable as error:
            replies.write(encode_line({"error": _error("unavailable", error)}))
            return
        with _few_cores(arguments.threads):
            # Only now: this imports bpy, which looks for add-ons meanwhile, and takes a second in which the
            # death of the parent would go unnoticed.
            from pairbridge.datagen.blender.child.session import Session

        image_path = f"/proc/self/fd/{arguments.image_fd}"
        session = Session(settings, arguments.threads, image_path, rules, addons)
        replies.write(encode_line(_answer(session.open, {})))
        for line in requests:
            message = decode_line(line)
            operation = getattr(session, message.pop("operation"))
            replies.write(encode_line(_answer(operation, message)))


@contextlib.contextmanager
def _few_cores(count: int) -> Iterator[None]:
    """Let this process see `count` of its cores, until the end of the block.

    TBB counts the cores once, while bpy is imported, and starts a thread for each. Cycles' limit of threads
    does not stop them: those beyond it yield in a loop, through whole renders, which took 28 % of the pairs
    per second from two workers of one thread each on two cores (docs/benchmarks/render.md).
    """
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[:count])
    try:
        yield
    finally:
        # Threads that have started in the block keep its cores otherwise.
        for thread in sorted(Path("/proc/self/task").iterdir()):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), cores)


def _answer(operation: Callable[..., dict[str, Any]], arguments: dict[str, Any]) -> dict[str, Any]:
    """The reply to one request: its result, or its error in a form that the client raises again."""
    try:
        return {"result": operation(**arguments)}
    except AssetError as error:
        return {"error": _error("asset", error) | {"fault": error.fault}}
    except FileUnreadable as error:
        return {"error": _error("unreadable", error)}
    except (DeviceMissing, AddonUnusable) as error:
        return {"error": _error("unavailable", error)}
    except Exception as error:
        traceback.print_exc()
        return {"error": {"kind": "failure", "cause": f"{type(error).__name__}: {error}"}}


def _error(kind: str, error: Any) -> dict[str, str]:
    return {"kind": kind, "cause": error.cause, "consequence": error.consequence, "remedy": error.remedy}
