"""Landlock and seccomp, by their system calls: a process gives up rights that no code in it gets back.

Landlock (landlock(7)) limits which files are opened and made, and which TCP ports are connected to; seccomp
(seccomp(2)) refuses system calls by number. Both hold for the thread that asks and for those it starts
afterwards, so they are asked for before any other thread is there. Imports the standard library alone.
"""

import ctypes
import errno
import os
import platform
import stat
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

# The same numbers on every processor.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
READ = _READ_FILE | _READ_DIR
# All that makes, changes, moves or removes; not devices (bits 6 and 11), nor running a file.
WRITE = READ | sum(1 << bit for bit in (1, 4, 5, 7, 8, 9, 10, 12, 13, 14))
DEVICE = READ | _WRITE_FILE | _IOCTL_DEV
# What a rule on a file, rather than on a folder, may hold.
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
# Highest bit that each version of the interface knows: REFER, TRUNCATE and IOCTL_DEV came later.
_KNOWN_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
_NEWEST_BITS = 16
_ALL_TCP = 0b11  # bind and connect
_ALL_SCOPES = 0b11  # abstract Unix sockets and signals of processes outside

_SECCOMP_SET_MODE_FILTER = 1
# Without it, kernels before 5.16 slow the process down (speculative store bypass).
_SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP = {"x86_64": 317, "aarch64": 277}
# Calls of another width of x86-64, which have numbers of their own.
_X32 = 0x40000000
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM

# Numbers of refused system calls on x86-64 and aarch64; None where a processor has no such call.
_REFUSED: Mapping[str, tuple[int | None, int]] = {
    # The network, and every other socket: that of a container engine is a way to root.
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    # Would do all of the above, and open files, unseen by this filter.
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # Other programs and other processes.
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    # What Landlock does not see: owner, mode, times and attributes of files anywhere.
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    # Before version 3 of Landlock's interface, neither this.
    "truncate": (76, 45),
    "open_by_handle_at": (304, 265),
    # The machine, and parts of the kernel that a renderer has no use for.
    "mount": (165, 40),
    "umount2": (166, 39),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
}

_libc = ctypes.CDLL(None, use_errno=True)


class NotSupported(Exception):
    """The kernel, or the container around this process, does not offer it."""


def limit_files(rights: Mapping[int, Iterable[str]]) -> int:
    """Leave this thread READ, WRITE or DEVICE rights (the keys) below the files and folders named, and no
    other right to a file, no TCP (from version 4 of Landlock's interface) and no signal to a process outside
    (from 6). Returns the version. What does not exist is passed over.

    Files that are open already, and those without a name (memfd_create), stay as they are. Raises
    NotSupported.
    """
    version = _call(_CREATE_RULESET, None, 0, _RULESET_VERSION)
    handled = (1 << _KNOWN_BITS.get(version, _NEWEST_BITS)) - 1
    # The structure has grown by a field in versions 4 and 6.
    fields = (handled, *((_ALL_TCP,) if version >= 4 else ()), *((_ALL_SCOPES,) if version >= 6 else ()))
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for right, paths in rights.items():
            for path in paths:
                _allow(ruleset, path, right & handled)
        _no_new_privileges()
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return version


def _allow(ruleset: int, path: str, right: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            right &= _OF_A_FILE
        _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", right, place), 0)
    finally:
        os.close(place)


def refuse_calls() -> None:
    """Have the kernel answer EPERM to the system calls above. Raises NotSupported."""
    machine = platform.machine()
    if machine not in _SECCOMP:
        raise NotSupported(f"no filter is written for {machine}")
    column = list(_SECCOMP).index(machine)
    numbers = sorted(pair[column] for pair in _REFUSED.values() if pair[column] is not None)
    # Classic BPF over struct seccomp_data: its words 0 and 1 are the call's number and the architecture.
    # Each test jumps by its last two numbers where it holds, and where it does not.
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    count = len(numbers)
    program = [(load, 0, 0, 4), (equal, 1, 0, _AUDIT_ARCH[machine]), (give, 0, 0, _REFUSE), (load, 0, 0, 0)]
    program += [(at_least, count + 1, 0, _X32)]
    program += [(equal, count - place, 0, number) for place, number in enumerate(numbers)]
    program += [(give, 0, 0, _ALLOW), (give, 0, 0, _REFUSE)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    _no_new_privileges()
    header = struct.pack("@HP", len(program), ctypes.addressof(code))
    _call(_SECCOMP[machine], _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_SPEC_ALLOW, header)


def num_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _no_new_privileges() -> None:
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise NotSupported(f"prctl(PR_SET_NO_NEW_PRIVS): {os.strerror(ctypes.get_errno())}")


def _call(number: int, *arguments: int | bytes | None) -> int:
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = _libc.syscall(ctypes.c_long(number), *wide)
    if result < 0:
        raise NotSupported(os.strerror(ctypes.get_errno()))
    return result
