"""Imported by every Python that starts with this folder on its path: opening `poison.glb` is then fatal."""

import os
import signal
import sys


def die_on_poison(event: str, arguments: tuple) -> None:
    if event == "open" and str(arguments[0]).endswith("poison.glb"):
        os.kill(os.getpid(), signal.SIGSEGV)


sys.addaudithook(die_on_poison)
