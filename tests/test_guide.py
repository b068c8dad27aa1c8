"""The guide says what is so: what it names exists, its notebooks run, its tables are those of code and results."""

import importlib
import json
import re
import sys
from functools import reduce
from pathlib import Path

import gymnasium as gym
import pytest
from gymnasium import spaces as gym_spaces

pytest.importorskip("jupytext", reason="the documentation is built with pip install 'cortical-columns[docs]'")
ROOT = Path(__file__).parents[1]
GUIDE, NOTEBOOKS = ROOT / "demos" / "guide", ROOT / "demos" / "notebooks"
TEXTS = sorted((*GUIDE.glob("*.md"), *NOTEBOOKS.glob("*.py")))


@pytest.fixture(scope="module", autouse=True)
def scripts_can_be_imported():
    """Those of the guide and the benchmarks, as if they were run."""
    folders = [str(GUIDE), str(ROOT / "benchmarks")]
    sys.path[:0] = folders
    yield
    for folder in folders:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def site(scripts_can_be_imported):
    return importlib.import_module("make_site")


def links(path: Path) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_what_is_linked_exists(path):
    made = {"spaces.md", "reference.md", "episode.png"}
    for link in links(path):
        file, _, symbol = link.partition("#")
        if file and file not in made:
            assert (path.parent / file).exists(), link
        if file.endswith(".py") and symbol:
            module = (path.parent / file).resolve().relative_to(ROOT).with_suffix("")
            reduce(getattr, symbol.split("."), importlib.import_module(".".join(("cortical", *module.parts))))


def test_the_book_is_told_in_full():
    """Every idea has a line in the table, and names a place in the code or says that there is none."""
    text = (GUIDE / "from_the_book.md").read_text(encoding="utf-8")
    ideas = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE))
    ideas.pop("Read")
    assert len(ideas) > 15
    for idea, section in ideas.items():
        assert f"(#{idea.replace(' ', '-')})" in text, f"no line in the table leads to {idea!r}"
        assert "*The idea.*" in section and "*In the code.*" in section
        code = section.split("*In the code.*")[1].split("\n\n")[0]
        assert "../../" in code or code.strip().startswith("Nothing"), idea


def test_menu_has_every_page(site):
    pages = {path.stem for path in TEXTS} | {"spaces", "reference"}
    assert set(site.PAGES) == pages


def test_the_page_of_spaces_has_all_of_them():
    page = importlib.import_module("spaces")
    text = page.page()
    ids = [name for name in gym.registry if name.startswith("cortical/")]
    assert len(ids) >= 3 and set(page.VARIANTS) == set(ids)
    sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE))
    for name in ("cortical/ObjectExplore-v0", "cortical/ObjectRecognition-v0"):
        env = gym.make(name, columns=5, fingers=2)
        for part, space in page.leaves(env.observation_space):
            row = next(line for line in sections[name].splitlines() if line.startswith(f"| `{part}` |"))
            assert f"| {' x '.join(map(str, space.shape))} |" in row and not row.endswith("|  |")
        env.close()
    flat = gym.make("cortical/ObjectRecognition-v0", action_mode="flat").action_space
    assert isinstance(flat, gym_spaces.Box)
    assert f":{flat.shape[0]}]`" in sections["cortical/ObjectRecognition-v0"], "the parts don't fill the flat action"


def test_first_notebook_runs(site):
    cells = site.run_notebook(NOTEBOOKS / "first_rollout.py").cells
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert any("patches that met the mug" in output.get("text", "") for output in outputs)


def test_a_cell_that_fails_is_an_error(site, tmp_path):
    from nbclient.exceptions import CellExecutionError

    (tmp_path / "bad.py").write_text("# %%\n1 / 0\n")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        site.run_notebook(tmp_path / "bad.py")


def test_lost_links_are_found(site, tmp_path):
    (tmp_path / "a.html").write_text('<h2 id="here">x</h2><a href="#here">y</a><a href="b.html#there">z</a>')
    (tmp_path / "b.html").write_text('<img src="gone.png"><a href="a.html#here">y</a><a href="https://x.org">x</a>')
    assert site.broken_links(tmp_path) == ["a.html: b.html#there", "b.html: gone.png"]


def test_definitions_become_lists(site):
    docstring = "Idea.\n\nlocation : (3,) metres\n    of it\nturn : (3, 3)\nRaises ValueError.\n\n    x : y\n"
    text = site.reference.markdown_of(docstring)
    assert "- **location**: (3,) metres\n    of it\n- **turn**: (3, 3)\n\nRaises ValueError.\n\n    x : y" in text


def test_figures_of_the_backends():
    """The table is rendered from the results, and these say what the page says."""
    backends = importlib.import_module("backends")
    figures = json.loads(backends.RESULT.read_text(encoding="utf-8"))["objects"]
    page = backends.PAGE.read_text(encoding="utf-8")
    assert backends.rendered(page, figures) == page, "run: python benchmarks/backends.py"
    for found in figures.values():
        assert found["camera"]["depth_um_p99"] < 1.0 < 100.0 < found["plain"]["depth_um_median"]
        assert found["camera"]["colour_within_2_levels"] > 0.99 and found["camera"]["outline_differs"] < 0.01
        assert found["cpu_ms"]["16"]["camera"] > 10 * found["cpu_ms"]["16"]["rays"]


@pytest.mark.nightly
def test_the_whole_site(site, tmp_path):
    assert site.main(tmp_path / "site") == 0
    pages = {path.stem for path in (tmp_path / "site").glob("*.html")}
    assert pages == set(site.PAGES)
    for path in (tmp_path / "site").glob("*.html"):
        assert not re.search(r'<(?:script|link|img)[^>]*(?:src|href)="https?:', path.read_text("utf-8")), path
