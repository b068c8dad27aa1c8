"""Learning and a recognition suite, killed at random moments and started again with the same words, end as if nothing
had happened: what was finished stays, and the last maps and rows are those of a run that nobody disturbed.

A server that has imported everything forks a child for each start, so that kills fall into work and not into imports.
"""

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs fork")

SERVER = """
import json, os, signal, sys, time
import torch
torch.set_num_threads(1)
from cortical.agents import commands, pictures
from cortical.agents.cli import main
answers = os.fdopen(os.dup(1), "w")
null = os.open(os.devnull, os.O_WRONLY)
os.dup2(null, 1)
for line in sys.stdin:
    words, delay = json.loads(line)
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        os._exit(main(words))
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() - start < delay:
        time.sleep(0.001)
    if ended[0] == 0:
        os.kill(child, signal.SIGKILL)
        ended = os.waitpid(child, 0)
    answer = os.waitstatus_to_exitcode(ended[1]), time.monotonic() - start
    print(json.dumps(answer), file=answers, flush=True)
"""
TIMES = ("think_ms",)
"""What of a row and a step depends on the machine's mood."""
SMALL = ("--names", "cylinder", "torus", "box", "--world.objects", "solids", "--learn.sensations-per-view", "100")
LEARN = ("learn", *SMALL)
SUITE = ("vote", *SMALL, "--rotations", "2", "--columns", "1", "3", "--eye.pixels", "5")


class Server:
    """Starts commands in processes that may be killed."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, "-c", SERVER], stdin=pipe, stdout=pipe, text=True)

    def run(self, words, out: Path, delay: float = 1e9) -> tuple[int, float]:
        """The exit status of a command, -9 if it was killed after `delay` seconds, and how long it took."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([[*words, "--out", str(out)], delay]) + "\n")
        self.process.stdin.flush()
        status, seconds = json.loads(self.process.stdout.readline())
        return status, seconds


@pytest.fixture(scope="module")
def server():
    made = Server()
    yield made
    with made.process as process:
        process.kill()


def maps_of(run: Path) -> dict[str, str]:
    """The maps that are finished, as digests of their bytes."""
    files = run.glob("maps/*.safetensors")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows_of(run: Path) -> list[dict]:
    """The rows that are finished, each with its trace, but for times."""
    if not (run / "episodes.jsonl").exists():
        return []
    traces = {key(line): line["trace"] for line in finished(run / "traces.jsonl")}
    return [timeless({**row, "trace": traces[key(row)]}) for row in finished(run / "episodes.jsonl")]


def finished(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_bytes().split(b"\n")[:-1]]


def key(row: dict) -> tuple:
    return row["label"], row["object"], row["seed"], row["rotation_index"]


def timeless(value):
    if isinstance(value, dict):
        return {name: timeless(part) for name, part in value.items() if name not in TIMES}
    return [timeless(part) for part in value] if isinstance(value, list) else value


def killed_and_started_again(server: Server, words, tmp_path: Path, kills: int, seed: int) -> int:
    """Kill a command `kills` times in all, a new run folder whenever it got to its end; how many ends that were."""
    calm = tmp_path / "calm"
    status, _ = server.run(words, calm)  # also fills numba's cache
    assert status == 0
    maps, rows = maps_of(calm), rows_of(calm)
    status, seconds = server.run(words, tmp_path / "timed")
    assert (status, maps_of(tmp_path / "timed"), rows_of(tmp_path / "timed")) == (0, maps, rows)
    moments, killed, ends = random.Random(seed), 0, 0
    while True:
        run, status = tmp_path / f"run{ends}", -9
        while status == -9:
            delay = moments.uniform(0, seconds) if killed < kills else 1e9
            before = maps_of(run), rows_of(run)
            status, _ = server.run(words, run, delay)
            killed += status == -9
            assert status in (0, -9)
            assert before[0].items() <= maps_of(run).items() <= maps.items()
            assert rows[: len(rows_of(run))] == rows_of(run) and len(rows_of(run)) >= len(before[1])
        assert (maps_of(run), rows_of(run)) == (maps, rows)
        ends += 1
        if killed >= kills:
            return ends


@pytest.mark.parametrize(
    "kills", [pytest.param(4, id="a few"), pytest.param(50, id="fifty", marks=pytest.mark.nightly)]
)
@pytest.mark.parametrize("words", [LEARN, SUITE], ids=["learn", "suite"])
def test_what_is_killed_ends_as_if_nothing_had_happened(server, tmp_path, words, kills):
    started = time.monotonic()
    ends = killed_and_started_again(server, words, tmp_path, kills, seed=kills)
    print(f"{words[0]}: {kills} kills, {ends} ends, {time.monotonic() - started:.0f} s")
