"""Files that outlive a crash: lines that are there whole or not at all, and a folder that one process holds.

A line is added by one write and synced, so a crash can tear only the last one. Whoever adds the next line mends it
first: a torn line that is complete but for its end is kept, any other is cut off. Whole files are written by
`storage.write_whole`. The lock on a folder is the operating system's, so it ends with its process, however that ends.
"""

import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cortical.columns.storage import sync_folder

LOCK, OWNER = ".lock", ".owner"
STALE = 600.0
"""Seconds after which a temporary file is nobody's any more: the longest write takes far less."""


class InUse(OSError):
    """A folder that another process holds."""


def append_line(file: Path, value: dict[str, Any]) -> None:
    """Add a line of JSON to a file; it is on the disk when this returns.

    Raises OSError; the file is then as it was before. One process at a time may write: see `hold`.
    """
    data = json.dumps(value).encode() + b"\n"
    is_new = not file.exists()
    with open(file, "ab+", buffering=0) as stream:
        end = _mend(stream)
        try:
            written = 0
            while written < len(data):
                written += os.write(stream.fileno(), data[written:])
            os.fsync(stream.fileno())
        except OSError:
            os.ftruncate(stream.fileno(), end)
            raise
    if is_new:
        sync_folder(file.parent)


def read_lines(file: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file of JSON objects; what a crash tore is skipped. None where there is no file."""
    if not file.exists():
        return
    with open(file, "rb") as stream:
        for line in stream:
            value = _parsed(line)
            if value is not None:
                yield value


def hold(folder: Path) -> FileLock:
    """Hold a folder for this process, as long as what is returned lives.

    Raises InUse, naming the process that holds it; OSError where nothing can be written.
    """
    lock = FileLock(folder / LOCK, timeout=0, thread_local=False, is_singleton=True)
    owner = folder / OWNER
    try:
        lock.acquire()
    except Timeout:
        who = owner.read_text().strip() if owner.exists() else "not known"
        raise InUse(f"another process is at work in {folder} ({who})") from None
    if lock.lock_counter == 1:
        owner.write_text(f"process {os.getpid()} on {platform.node()}\n")
        _sweep(folder)
    return lock


def _mend(stream: Any) -> int:
    """Cut off or end a torn last line; the file's length afterwards."""
    end = stream.seek(0, os.SEEK_END)
    start = end
    tail = b""
    while start > 0 and b"\n" not in tail:
        step = min(start, 1 << 16)
        start -= step
        stream.seek(start)
        tail = stream.read(step) + tail
    torn = tail[tail.rfind(b"\n") + 1 :]
    if not torn:
        return end
    if _parsed(torn) is not None:
        os.write(stream.fileno(), b"\n")
        return end + 1
    os.ftruncate(stream.fileno(), end - len(torn))
    return end - len(torn)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _sweep(folder: Path) -> None:
    """Remove what writes that were killed left behind, in the folder and in those in it."""
    for left in [*folder.glob(".*.tmp"), *folder.glob("*/.*.tmp")]:
        if time.time() - left.stat().st_mtime > STALE:
            left.unlink(missing_ok=True)
