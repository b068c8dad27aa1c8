"""The reference: a page of pdoc for each module, and a page that lists them.

Docstrings here are plain text, in which `name : what it is` is a definition. pdoc reads Markdown: they are translated.
"""

import ast
import re
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("columns", "envs", "agents", "configs")
NEEDS = {"columns/layers/triton_source.py": "triton"}
"""Modules that import what only an extra installs: they are left out where it isn't."""
DEFINITION = re.compile(r"( *)([\w\"][\w\"., ()\[\]{}]*?) : (.+)")


def write(folder: Path) -> None:
    """pdoc's pages of all modules."""
    import pdoc
    import pdoc.extract
    import pdoc.render

    pdoc.render.configure(docformat="markdown", template_directory=Path(__file__).parent)
    pdoc.render.env.filters["to_markdown"] = markdown_of
    packages = [f"cortical.{name}" for name in PACKAGES]
    parts = (path.relative_to(ROOT).with_suffix("").parts for path in _files())
    every = {".".join(("cortical", *names)).removesuffix(".__init__") for names in parts}
    packages += [f"!cortical.{name.removesuffix('.py').replace('/', '.')}" for name in _left_out()]
    # by itself it leaves out the modules of a package with an __all__
    pdoc.pdoc(*packages, *sorted(every - {*pdoc.extract.walk_specs(packages)}), output_directory=folder)


def page() -> str:
    """Each module with the first paragraph of its docstring, as Markdown."""
    lines = ["# Reference"]
    files = _files()
    for package in PACKAGES:
        said = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text("utf-8"))) or ""
        lines += ["", f"## cortical.{package}", "", said, "", "| module | |", "|---|---|"]
        for path in files:
            name = path.relative_to(ROOT).as_posix()
            if name.startswith(f"{package}/") and name != f"{package}/__init__.py":
                idea = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n\n")[0]
                label = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
                lines.append(f"| [`{label}`](../../{name}) | {' '.join(idea.split())} |")
    return "\n".join(lines)


def markdown_of(docstring: str) -> str:
    """Markdown of a docstring: definitions, `name : what it is`, one a line, become lists, and in their text lists of
    their own; indented blocks after a blank line stay as they are."""
    lines, listed, code = [""], False, False
    for line in docstring.splitlines():
        indent = len(line) - len(line.lstrip())
        code = bool(line.strip()) and indent >= 4 and not listed and (code or not lines[-1].strip())
        found = None if code else DEFINITION.fullmatch(line)
        if found or (listed and indent == 0):
            if not (listed and found and indent == 0):
                lines.append("")
            listed = bool(found) or (listed and not line.strip())
        lines.append(f"{found[1]}- **{found[2]}**: {found[3]}" if found else line)
    return "\n".join(lines[1:])


def _files() -> list[Path]:
    left_out = {ROOT / name for name in _left_out()}
    return sorted({path for name in PACKAGES for path in (ROOT / name).rglob("*.py")} - left_out)


def _left_out() -> list[str]:
    return [name for name, needed in NEEDS.items() if find_spec(needed) is None]
