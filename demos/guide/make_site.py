"""Builds the documentation: the guide, the executed notebooks and the reference, one static site with no network.

    python demos/guide/make_site.py     # into build/docs; `make docs` does the same

A page of the guide is Markdown, a notebook a script in jupytext's percent format, which runs here. A cell that fails
fails the build, and so does a link that leads nowhere. Links to source files become links to their place in the
reference. The look is in style.css, the reference in reference.py, the page of spaces in spaces.py.
"""

import html
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from urllib.parse import unquote

import reference
from reference import PACKAGES, ROOT

HERE = Path(__file__).parent
NOTEBOOKS = HERE.parent / "notebooks"
SITE = ROOT / "build" / "docs"
PAGES = {
    "index": "Start",
    "first_rollout": "First rollout",
    "one_column_learns_a_mug": "One column",
    "nine_columns_vote": "Nine columns",
    "voting": "Many columns",
    "from_the_book": "From the book",
    "spaces": "Spaces",
    "seeing": "Seeing",
    "moving": "Moving",
    "reference": "Reference",
}
"""Pages by file name, in the order of the menu."""
FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title} · cortical</title><link rel="stylesheet" href="style.css"></head>
<body><nav><a class="name" href="index.html">cortical</a>{menu}</nav><main class="{kind}">
{body}
</main></body></html>
"""


def main(site: Path = SITE) -> int:
    """Build it all; the number of links that lead nowhere."""
    started = time.monotonic()
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    jobs = [partial(write_notebook, path, site) for path in sorted(NOTEBOOKS.glob("*.py"), reverse=True)]
    jobs += [partial(write_reference, site), partial(write_spaces, site), partial(write_guide, site)]
    with ProcessPoolExecutor(max_workers=2) as pool:
        for label, seconds in pool.map(_timed, jobs):
            print(f"{label:28} {seconds:5.1f} s", flush=True)
    lost = broken_links(site)
    for link in lost:
        print(link, file=sys.stderr)
    print(f"{site / 'index.html'}: {time.monotonic() - started:.0f} s, {len(lost)} links that lead nowhere")
    return len(lost)


def _timed(job: Callable[[], str]) -> tuple[str, float]:
    started = time.monotonic()
    return job(), time.monotonic() - started


def write_guide(site: Path) -> str:
    """The pages that are written by hand, and what they show."""
    for path in HERE.glob("*.md"):
        write_page(path.stem, path.read_text(encoding="utf-8"), site)
    for path in (*HERE.glob("*.png"), HERE.parent / "episode.png", HERE / "style.css"):
        shutil.copy(path, site)
    return "guide"


def write_spaces(site: Path) -> str:
    """The page of all observation and action spaces."""
    import spaces  # not above, for it takes seconds

    write_page("spaces", spaces.page(), site)
    return "spaces"


def write_page(name: str, text: str, site: Path) -> None:
    """A page from Markdown."""
    from nbconvert.filters.markdown_mistune import markdown2html_mistune

    body = markdown2html_mistune(with_site_links(text))
    # wide tables scroll by themselves
    body = body.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    write_framed(name, body, "page", site)


def write_framed(name: str, body: str, kind: str, site: Path) -> None:
    """A body within the frame of all pages."""
    menu = "".join(
        f'<a href="{page}.html"{" class=here" if page == name else ""}>{label}</a>' for page, label in PAGES.items()
    )
    text = FRAME.format(title=html.escape(PAGES[name]), menu=menu, kind=kind, body=body)
    (site / f"{name}.html").write_text(text, encoding="utf-8")


def with_site_links(text: str) -> str:
    """Markdown whose links to files of the project lead to their pages instead."""
    text = re.sub(rf"\]\(\.\./\.\./((?:{'|'.join(PACKAGES)})[\w/]*)\.py", r"](api/cortical/\1.html", text)
    text = text.replace("/__init__.html", ".html")
    return re.sub(r"\]\((?:\.\./notebooks/)?((?:api/)?\w+)\.(?:md|py)", r"](\1.html", text)


def run_notebook(path: Path):
    """The notebook of a script, executed in a process of its own. Raises CellExecutionError where a cell fails."""
    import jupytext
    from nbclient import NotebookClient
    from traitlets.config import Config

    notebook = jupytext.read(path)
    with tempfile.TemporaryDirectory() as folder:
        by_files = Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})  # not by open ports
        NotebookClient(notebook, config=by_files, timeout=120, kernel_name="python3").execute()
    return notebook


def write_notebook(path: Path, site: Path) -> str:
    """The page of a notebook with what its cells say."""
    from nbconvert import HTMLExporter

    notebook = run_notebook(path)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = with_site_links(cell.source)
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    write_framed(path.stem, body, "notebook", site)
    return path.stem


def write_reference(site: Path) -> str:
    """The reference by pdoc, and the page that lists its modules."""
    reference.write(site / "api")
    write_page("reference", reference.page(), site)
    return "reference"


def broken_links(site: Path) -> list[str]:
    """Links and pictures of the pages that lead nowhere, as `page: link`; those into the web aren't tried, nor those
    that pdoc makes within the reference."""
    lost = []
    for path in sorted(site.glob("*.html")):
        for link in sorted(set(re.findall(r'<(?:a|img|link)\b[^>]*?(?:href|src)="([^"]+)"', path.read_text("utf-8")))):
            file, _, anchor = unquote(html.unescape(link)).partition("#")
            target = site / file if file else path
            if re.match(r"[a-z]+:", link) or (target.is_file() and (not anchor or anchor in anchors(target))):
                continue
            lost.append(f"{path.name}: {link}")
    return lost


@cache
def anchors(path: Path) -> frozenset[str]:
    """The places of a page that a link can name."""
    return frozenset(html.unescape(name) for name in re.findall(r'\bid="([^"]+)"', path.read_text("utf-8")))


if __name__ == "__main__":
    sys.exit(bool(main()))
