"""Imported by every Python that starts with this folder on its path: opening `poison.glb` is then fatal, and
opening `endless.glb` never ends.
"""

import os
import signal
import sys
import time


def die_on_poison(event: str, arguments: tuple) -> None:
    if event == "open" and str(arguments[0]).endswith("poison.glb"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if event == "open" and str(arguments[0]).endswith("endless.glb"):
        time.sleep(3600)


sys.addaudithook(die_on_poison)
