"""What the README shows works: its Python runs, its commands exist, its links lead somewhere."""

import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from cortical.agents import commands
from cortical.agents.cli import COMMANDS, main
from cortical.agents.records import RunFolder
from cortical.configs.load import load, preset_names

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(*languages: str) -> list[str]:
    """The fenced blocks of these languages, in order."""
    found = re.findall(r"^```(\w+)[^\n]*\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    return [text for language, text in found if language in languages]


def shell_lines() -> list[list[str]]:
    """The words of every command in a shell block: lines joined at a backslash, without prompt and comment."""
    text = "\n".join(blocks("sh", "bash", "shell", "console")).replace("\\\n", " ")
    lines = [shlex.split(line.removeprefix("$ "), comments=True) for line in text.splitlines()]
    parts = [part for line in lines for part in split_at(line, {"&&", ";", "|"})]
    return [part for part in parts if part]


def split_at(words: list[str], marks: set[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word in marks:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def named(lines: list[list[str]]) -> list:
    return [pytest.param(line, id=" ".join(line)) for line in lines]


COMMAND_LINES = [line for line in shell_lines() if Path(line[0]).name == "cortical"]
MAKE_LINES = [line for line in shell_lines() if "make" in line]
SCRIPTS = [line for line in shell_lines() if Path(line[0]).name in ("python", "python3") and line[1][0] != "-"]


def test_the_readme_is_understood():
    """A block in an unknown notation would slip through the tests below."""
    fences = re.findall(r"^```(.*)$", README, re.MULTILINE)
    assert len(fences) % 2 == 0, "a block isn't closed"
    known = {"python", "sh", "bash", "shell", "console", "text", "toml", "mermaid", "json", "bibtex"}
    assert {opening.split()[0] if opening.split() else "?" for opening in fences[::2]} <= known


def test_python_blocks_run(tmp_path):
    """In their order in one process, since later ones may go on with what earlier ones made."""
    if not blocks("python"):
        pytest.skip("no Python in the README")
    program = "import torch\ntorch.set_num_threads(1)\n" + "\n".join(blocks("python"))
    (tmp_path / "readme.py").write_text(program)
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", "readme.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", named(COMMAND_LINES))
def test_commands_are_understood(line, tmp_path, monkeypatch):
    """Every flag is read and checked; nothing is run."""
    monkeypatch.chdir(tmp_path)
    words, asked = line[1:], []
    for name in COMMANDS:
        monkeypatch.setattr(commands, name, asked.append)
    for flag, value in pairwise(words):
        if flag in ("--from-run", "--maps") or (flag in ("view", "plot") and not value.startswith("-")):
            RunFolder(tmp_path / value, load(), "learn")
        if flag == "--config" and value not in preset_names():
            (tmp_path / value).write_text("")
    try:
        assert main(words) == 0
    except SystemExit as end:
        assert not end.code and "--help" in words
        return
    assert asked or words in ([], ["--help"])


@pytest.mark.parametrize("line", named(MAKE_LINES))
def test_make_targets_exist(line):
    rules = re.findall(r"^([a-z][\w-]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    wanted = [word for word in line[line.index("make") + 1 :] if "=" not in word and word[0] != "-"]
    assert set(wanted) <= set(rules)


@pytest.mark.parametrize("line", named(SCRIPTS))
def test_scripts_exist(line):
    assert (ROOT / line[1]).is_file()


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)\s]+)", README) + re.findall(r'(?:src|href)="([^"]+)"', README)
    files = [target.split("#")[0] for target in targets if not re.match(r"[a-z]+:", target)]
    missing = [file for file in files if file and not (ROOT / file).exists()]
    assert not missing
    titles = {
        re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    }
    anchors = {target[1:] for target in targets if target.startswith("#")}
    assert anchors <= titles
