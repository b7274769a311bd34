"""Random streams keyed by what they belong to: never by worker, order or clock.

`rng(seed, "relighting", "train", 12, "camera")` is the camera's stream of one group. A new draw under another
key moves nothing in this one, which is what lets a recipe grow without changing the pairs it made before.
"""

import hashlib

import numpy as np

Key = str | int


def _spawn_key(key: tuple[Key, ...]) -> tuple[int, ...]:
    # Strings and integers are tagged, so that 1 and "1" are different keys.
    text = "\x1f".join(f"{'i' if isinstance(part, int) else 's'}{part}" for part in key)
    raw = hashlib.sha256(text.encode()).digest()
    return tuple(int.from_bytes(raw[i : i + 4], "little") for i in range(0, 16, 4))


def rng(seed: int, *key: Key) -> np.random.Generator:
    """Generator for `key` under the root `seed` (any non-negative integer, 0 included)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=_spawn_key(key))))


def seed31(seed: int, *key: Key) -> int:
    """A seed in [0, 2**31) for programs that take one C int, such as Cycles and OpenCV."""
    return int(np.random.SeedSequence(seed, spawn_key=_spawn_key(key)).generate_state(1)[0] >> 1)


def root_seed(seed: int, *key: Key) -> int:
    """A root seed of 128 bits that belongs to `key`, for whoever takes a root and draws streams from it."""
    state = np.random.SeedSequence(seed, spawn_key=_spawn_key(key)).generate_state(4)
    return int.from_bytes(state.astype("<u4").tobytes(), "little")
