"""The pages in a real browser: what they show, that they play, and that they ask nobody for anything.

Chromium draws without a GPU here, slowly: tests wait for what they need, never for a fixed time.
"""

import io
import shutil
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from cortical.agents.brain import build_region
from cortical.agents.drive import Drive
from cortical.agents.live import LivePage
from cortical.agents.page import write_page
from cortical.agents.rollout import make_agent, play
from cortical.agents.runs import with_columns
from cortical.agents.shown import Shown
from cortical.agents.story import ending, tell
from cortical.envs.sensors import shared_catalogue

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE = 60.0

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt install chromium)")


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="no playwright here: pip install playwright")
    with api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield made
        made.close()


@pytest.fixture(scope="module")
def seen(learnt) -> Shown:
    """An episode of the box, which is red; nothing else in its last scene is."""
    experiment = with_columns(learnt.experiment, 3)
    agent = make_agent(experiment, build_region(experiment, learnt.maps))
    record = play(agent, "box", seed=5)
    agent.env.close()
    colours = {"box": "#0072B2", "torus": "#009E73", "cylinder": "#56B4E9"}
    mesh = shared_catalogue("solids").mesh("box")
    return Shown("3 columns", record, experiment, mesh, learnt.maps, colours)


def pixels(part) -> np.ndarray:
    """(h, w, 3) of a page or a part of one, as int."""
    return np.asarray(Image.open(io.BytesIO(part.screenshot())).convert("RGB")).astype(int)


def colours(picture: np.ndarray) -> int:
    return len(np.unique(picture.reshape(-1, 3), axis=0))


def red_rows(picture: np.ndarray) -> np.ndarray:
    """Rows that show something red."""
    red = (picture[..., 0] - picture[..., 1] > 25) & (picture[..., 0] - picture[..., 2] > 25)
    return np.flatnonzero(red.sum(1) > 2)


def until(what: str, holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"waited {PATIENCE:.0f} s in vain: {what}"
        time.sleep(0.05)


def test_the_page_of_an_episode_plays_and_asks_nobody_for_anything(browser, seen, tmp_path):
    path = write_page(seen, tmp_path / "page.html")
    page = browser.new_page(viewport={"width": 980, "height": 640})
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(path.as_uri())

    text = page.inner_text("body")
    assert ending(seen.record) in text
    for line in tell(seen.record):
        assert line.split(": ", 1)[1] in text
    assert "by itself" in text and "after the votes" in text
    assert page.locator("svg").count() >= 1

    frame = page.frame_locator("iframe")
    frame.locator("canvas[data-engine]").wait_for(timeout=1000 * PATIENCE)
    frame.locator(".mantine-Notification-closeButton").first.click(timeout=1000 * PATIENCE)  # "no GPU"
    scene = page.locator("iframe")

    def walk(by: int) -> np.ndarray:
        """The scene after the last step in this direction, once it is drawn and stands still."""
        for _ in seen.record.trace:
            page.locator(f"[data-by='{by}']").click()
        drawn = [pixels(scene)]

        def still() -> bool:
            drawn.append(pixels(scene))
            return len(red_rows(drawn[-1])) > 0 and np.abs(drawn[-1] - drawn[-2]).mean() < 0.02

        until("the scene", still)
        return drawn[-1]

    count = len(seen.record.trace)
    assert count > 1
    end = walk(1)
    assert page.locator(".step.now h2").inner_text() == f"Sensation {count} of {count}"
    start = walk(-1)
    assert page.locator(".step.now h2").inner_text() == f"Sensation 1 of {count}"
    assert colours(end) > 1000 and colours(pixels(page)) > 1000
    assert (np.abs(start - end).max(-1) > 40).mean() > 0.002, "first and last frame differ"
    rows = red_rows(end)
    assert rows[-1] - rows[0] > 0.25 * len(end), "the object fills a quarter of the height"
    assert all(url.startswith(("file://", "data:", "blob:")) for url in asked), asked
    assert [url for url in asked if url.startswith("file://")] == [path.as_uri()]
    assert not wrong
    page.close()


def test_a_person_drives_the_eye_on_the_live_page_and_reads_what_the_columns_believe(browser, seen, learnt):
    drive = Drive(seen.experiment, learnt.maps, np.random.default_rng(3))
    live = LivePage(drive, [seen])
    page = browser.new_page(viewport={"width": 720, "height": 560})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def words(head: str) -> str:
        """What the panel says as soon as it says this; presses are worked off meanwhile."""
        place = page.locator(".live:visible")

        def said() -> bool:
            live.work(0.02)
            return place.count() == 1 and place.inner_text().startswith(head)

        until(head, said)
        return place.inner_text()

    try:
        page.goto(live.address)
        first = words(f"Sensation 1 of {len(seen.record.trace)}\n")
        page.keyboard.press("x")
        assert words(f"Sensation 2 of {len(seen.record.trace)}\n") != first

        page.get_by_role("tab", name="Drive").click()
        page.keyboard.press("n")
        first = words("Sensation 1\n")
        assert "column 3" in first and "%" in first and "It is the" not in first
        before = drive.agent.env.eye.position
        page.get_by_text("right (L)").click()
        second = words("Sensation 2\n")
        assert second.split("\n", 1)[1] != first.split("\n", 1)[1], "the words about beliefs change"
        assert 0.01 < np.linalg.norm(drive.agent.env.eye.position - before) < 0.05
        page.keyboard.press("p")
        words("Sensation 3\n")
        page.get_by_text("reveal the truth").click()
        until("the truth", lambda: live.work(0.02) or drive.truth() in page.locator(".live:visible").inner_text())
        until("a scene", lambda: colours(pixels(page)) > 1000)
        here = live.address, live.address.replace("http", "ws"), "data:", "blob:"
        assert all(url.startswith(here) for url in asked), asked
    finally:
        page.close()
        live.close()
        drive.close()
    assert not [thread.name for thread in threading.enumerate() if "viser" in thread.name.lower()]
