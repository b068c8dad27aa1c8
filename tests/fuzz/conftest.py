"""How many cases are tried, and a watch that no code runs while a file is read.

CORTICAL_FUZZ_CASES sets the number of cases of each test; `make nightly` sets it high, and then every night differs.
"""

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

CASES = int(os.environ.get("CORTICAL_FUZZ_CASES", "150"))
settings.register_profile(
    "fuzz", max_examples=CASES, deadline=None, derandomize=CASES <= 1000, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip

FORBIDDEN = (
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "subprocess.Popen",
    "pickle.find_class", "socket.connect", "socket.bind", "urllib.Request", "os.remove", "os.rename", "os.rmdir",
    "shutil.rmtree", "ctypes.dlopen",
)  # fmt: skip
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class CodeRan(BaseException):
    """No error that a reader may swallow."""


class Watch:
    """While `on`, reading may do nothing but read."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple) -> None:
        if self.on and (event in FORBIDDEN or (event == "open" and arguments[2] and arguments[2] & WRITES)):
            self.seen.append(f"{event} {arguments}")
            raise CodeRan(self.seen[-1])


WATCH = Watch()


@pytest.fixture(scope="session")
def reading():
    """A context: what runs in it may read files, and nothing else."""
    from contextlib import contextmanager

    @contextmanager
    def watched():
        WATCH.on = True
        try:
            yield
        finally:
            WATCH.on = False
        assert not WATCH.seen

    return watched
