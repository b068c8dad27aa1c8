"""Lines and files are there whole or not at all, whatever ends the process; a folder has one process at work in it."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from cortical.agents import files
from cortical.agents.files import InUse, append_line, hold, read_lines
from cortical.columns import storage
from cortical.columns.storage import write_whole

HOLDER = """
import sys, time
from pathlib import Path
from cortical.agents.files import hold
held = hold(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""
FULL = """
import sys
from pathlib import Path
from cortical.agents.records import RunError, RunFolder
from cortical.columns.object_map import ObjectMap
from cortical.columns.messages import FeatureSchema
from cortical.configs.load import load
sys.path.insert(0, sys.argv[2])
from test_records import record
ballast = Path(sys.argv[1]) / "ballast"
ballast.write_bytes(bytes(30_000))
folder, done = RunFolder(Path(sys.argv[1]) / "run", load(), "recognise"), 0
try:
    for seed in range(1000):
        folder.append("1 column", record("mug", seed))
        done += 1
except RunError as error:
    print("told", error)
print("kept", done, len(folder.episodes("1 column")))
try:
    for name in map(str, range(1000)):
        folder.save_map(name, ObjectMap.empty(0.004), FeatureSchema())
except ValueError as error:
    print("told", error)
print("left", *sorted(p.suffix for p in (folder.path / "maps").iterdir() if p.suffix != ".safetensors"))
ballast.unlink()
folder.append("1 column", record("mug", 1000))
print("then", len(folder.episodes("1 column")))
"""


def lines(file):
    return list(read_lines(file))


# ---- lines


def test_lines_come_back_in_order(tmp_path):
    put = [{"a": 1, "text": "ä\u2028\n"}, {"b": [1.5, None]}, {}]
    for value in put:
        append_line(tmp_path / "rows.jsonl", value)
    assert lines(tmp_path / "rows.jsonl") == put
    assert lines(tmp_path / "nothing.jsonl") == []


@pytest.mark.parametrize("size", [10, 70_000])
def test_a_line_torn_anywhere_costs_that_line_alone(tmp_path, size):
    file = tmp_path / "rows.jsonl"
    first, torn, last = {"n": 1}, {"n": 2, "pad": "x" * size}, {"n": 3}
    whole = json.dumps(torn).encode() + b"\n"
    for kept in sorted({*range(min(len(whole), 40)), len(whole) // 2, len(whole) - 1}):
        file.write_bytes(json.dumps(first).encode() + b"\n" + whole[:kept])
        finished = [first, torn] if kept == len(whole) - 1 else [first]  # it lacks its end alone
        assert lines(file) == finished
        append_line(file, last)
        assert lines(file) == [*finished, last]
        assert file.read_bytes().count(b"\n") == len(finished) + 1


@pytest.mark.parametrize("rubbish", [b"\0" * 100, b"\xff\xfe{", b"[1, 2]", b"3", b"[" * 100_000])
def test_a_damaged_line_is_no_line(tmp_path, rubbish):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"n": 1}\n' + rubbish + b"\n" + b'{"n": 2}\n')
    assert lines(file) == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_line_that_finds_no_room_leaves_the_file_as_it_was(tmp_path, monkeypatch, call):
    file = tmp_path / "rows.jsonl"
    append_line(file, {"n": 1})
    before, real = file.read_bytes(), os.write

    def full(handle, data=b""):
        if call == "write" and len(data) > 3:
            return real(handle, data[:3])  # a disk that is nearly full takes a part first
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, call, full)
    with pytest.raises(OSError) as caught:
        append_line(file, {"n": 2})
    assert storage.disk_is_full(caught.value)
    monkeypatch.undo()
    assert file.read_bytes() == before
    append_line(file, {"n": 3})
    assert lines(file) == [{"n": 1}, {"n": 3}]


# ---- killed at every call of a write


def killed_at(call, work, calls=("write", "fsync", "replace", "ftruncate", "open")):
    """Whether `work` ran to its end in a child that is killed before its `call`-th call to the operating system; a
    write has then put half of its bytes down."""
    child = os.fork()
    if child == 0:
        count = 0

        def doomed(name, real):
            def doomed_call(*arguments, **more):
                nonlocal count
                if count == call:
                    if name == "write":
                        real(arguments[0], arguments[1][: len(arguments[1]) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1
                return real(*arguments, **more)

            return doomed_call

        for name in calls:
            setattr(os, name, doomed(name, getattr(os, name)))
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(os.name != "posix", reason="needs fork")
def test_a_file_is_the_old_one_or_the_new_one_wherever_a_kill_comes(tmp_path):
    file = tmp_path / "file"
    old, new = b"old" * 1000, b"new" * 2000
    seen = []
    for call in range(20):
        file.write_bytes(old)
        done = killed_at(call, lambda: write_whole(file, new))
        seen.append(file.read_bytes())
        assert seen[-1] in (old, new)
        if done:
            assert seen[-1] == new
            break
    assert done and {old, new} <= set(seen) and len(seen) >= 4


@pytest.mark.skipif(os.name != "posix", reason="needs fork")
def test_finished_lines_stay_wherever_a_kill_comes(tmp_path):
    file = tmp_path / "rows.jsonl"
    start = b'{"n": 1}\n{"n": 2, "to'  # torn by an earlier kill
    for call in range(20):
        file.write_bytes(start)
        done = killed_at(call, lambda: append_line(file, {"n": 3}))
        assert lines(file) in ([{"n": 1}], [{"n": 1}, {"n": 3}])
        append_line(file, {"n": 4})
        assert lines(file)[0] == {"n": 1} and lines(file)[-1] == {"n": 4}
        if done:
            break
    assert done and call >= 3


# ---- one process at a time


def test_one_process_holds_a_folder_as_often_as_it_likes(tmp_path):
    first, second = hold(tmp_path), hold(tmp_path)
    assert first is second


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_second_process_is_refused_until_the_first_has_ended(tmp_path, end):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InUse, match=rf"another process is at work in .*process {holder.pid} on "):
            hold(tmp_path)
        holder.send_signal(end)
        holder.wait()
    assert hold(tmp_path).is_locked


def test_what_killed_writes_left_is_swept_when_it_is_old(tmp_path):
    (tmp_path / "maps").mkdir()
    old, young, other = tmp_path / "maps" / ".mug.1.tmp", tmp_path / ".run.json.2.tmp", tmp_path / "notes.tmp"
    for file in (old, young, other):
        file.write_text("")
    for file in (old, other):
        os.utime(file, (time.time() - 2 * files.STALE,) * 2)
    held = hold(tmp_path)
    assert held.is_locked
    assert not old.exists() and young.exists() and other.exists()


# ---- a disk that is full


def test_a_full_disk_is_told_and_costs_nothing_finished(tmp_path):
    """On a disk of 96 KiB, in a process that sees it alone."""
    mount = f"mount -t tmpfs -o size=96k none {tmp_path}"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], check=False, capture_output=True).returncode:
        pytest.skip("cannot mount a small disk here")
    code = textwrap.dedent(FULL)
    command = f'{mount} && exec "$0" -c "$1" {tmp_path} {os.path.dirname(__file__)}'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", command, sys.executable, code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    rows, kept, maps, left, then = told
    for complaint in (rows, maps):
        assert complaint.startswith("told ")
        assert complaint.endswith("disk full: free space and give the same command again")
    _, put, there = kept.split()
    assert put == there and int(put) > 5
    assert left == "left"
    assert then == f"then {int(put) + 1}"
