"""The live page: a person drives the eye, by keys or buttons, and sees and reads what each column believes; or goes
through recorded episodes step by step.

Presses come from the browser in threads of their own; the world and the columns are used by one thread alone, which
takes the presses one after the other.
"""

import html
import queue
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .drive import Drive
from .metrics import UNKNOWN
from .page import STYLE, WHAT, chip, column_table
from .panels import UNSURE
from .shown import Shown
from .story import ending, tell_step
from .viser_view import FIELD_OF_VIEW, ViserView, close_server, open_server

if TYPE_CHECKING:
    from viser import ViserServer

Job = Callable[[], None]
MOVES = {
    "left": ("J", (-1, 0, 0)), "right": ("L", (1, 0, 0)), "up": ("I", (0, -1, 0)), "down": ("K", (0, 1, 0)),
    "nearer": ("U", (0, 0, 1)), "back": ("O", (0, 0, -1)),
}  # fmt: skip
"""Buttons that move a body: their keys, and the way in the body's own frame. viser's camera has WASD and the arrows."""
LOOKS = {"left": ("F", (-1, 0)), "right": ("H", (1, 0)), "up": ("T", (0, -1)), "down": ("G", (0, 1))}
"""Buttons that turn its gaze: their keys, and the turn to the right and down."""
STAND = np.array([0.38, -0.34, 0.26])
"""Where the camera stands while nobody knows where the object is, metres."""


class LivePage:
    """A page on a port of this machine. Call `run` to serve it, `close` to end.

    drive : the body to drive, None: there is none
    episodes : recorded ones to go through
    port : None: a free one

    Raises ImportError with the install line where viser is missing, OSError where the port is taken.
    """

    def __init__(self, drive: Drive | None, episodes: Sequence[Shown] = (), port: int | None = None) -> None:
        if drive is None and not episodes:
            raise ValueError("nothing to show: give a body to drive, or episodes")
        self._server = open_server(port)
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        view = ViserView(self._server)
        gui = self._server.gui
        gui.configure_theme(control_width="large", show_logo=False, show_share_button=False)
        gui.main_panel.dock_right()
        gui.set_panel_label("cortical: what the columns believe")
        tabs = gui.add_tab_group()
        if episodes:
            with tabs.add_tab("Replay"):
                replay = ReplayPanel(self._server, view, episodes, self._jobs.put)
            replay.show()
        if drive is not None:
            with tabs.add_tab("Drive"):
                panel = DrivePanel(self._server, view, drive, self._jobs.put)
            if not episodes:
                panel.start()
        with gui.add_folder("what is what", expand_by_default=False):
            gui.add_markdown("\n".join(f"- **{thing}:** {word}" for thing, word in WHAT.items()))

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"http://127.0.0.1:{self._server.get_port()}"

    def run(self) -> None:
        """Serve until KeyboardInterrupt."""
        while True:
            self.work(0.2)

    def work(self, patience: float) -> bool:
        """Take one press, waiting for it at most `patience` seconds; whether there was one."""
        try:
            job = self._jobs.get(timeout=patience)
        except queue.Empty:
            return False
        job()
        return True

    def close(self) -> None:
        """End the server."""
        close_server(self._server)


class DrivePanel:
    """Buttons, keys and words for a body that a person drives."""

    def __init__(self, server: "ViserServer", view: ViserView, drive: Drive, do: Callable[[Job], None]) -> None:
        self._view, self._drive, self._do = view, drive, do
        gui = server.gui
        limits = drive.agent.env.bodies[0][1]
        self._words = gui.add_html("")
        self._body = gui.add_dropdown("body", drive.bodies) if len(drive.bodies) > 1 else None
        _buttons(gui, "move", MOVES, lambda way: do(partial(self._move, way)))
        _buttons(gui, "look", LOOKS, lambda way: do(partial(self._look, way)))
        farthest, widest = round(100 * limits.max_path), round(np.degrees(limits.max_turn))
        self._far = gui.add_slider("step, cm", 1, farthest, 1, min(4, farthest))
        self._wide = gui.add_slider("turn, degrees", 1, widest, 1, min(8, widest))
        self._hold = gui.add_checkbox("keep looking at the same point", True)
        _button(gui, "let the policy move", "P", lambda: do(self._follow))
        names = ("any", *sorted(drive.maps))
        self._name = gui.add_dropdown("object", names, initial_value="any")
        _button(gui, "new object", "N", lambda: do(self._begin))
        self._reveal = gui.add_checkbox("reveal the truth", False)
        self._reveal.on_update(lambda _: do(self.show))

    def start(self) -> None:
        """Show the object at hand from where all of its world is seen."""
        self._view.look(STAND, np.zeros(3))
        self.show()

    def show(self, note: str = "") -> None:
        """Draw and tell what is believed now."""
        drive = self._drive
        self._view.hide()
        if self._reveal.value:
            self._view.place(*drive.solid())
            note += " " + drive.truth()
        self._view.log(len(drive.steps) - 1, drive.snapshot())
        step = drive.steps[-1]
        bars = "".join(_bar(name, share, drive.colours) for name, share in list(step.posterior.items())[:3])
        self._words.content = (
            f"{STYLE}<div class='live'><h2>Sensation {len(drive.steps)}</h2><p>{html.escape(drive.words())}</p>"
            f"<p class='note'>{html.escape(note.strip())}</p>{bars}{column_table(step, drive.colours)}</div>"
        )

    def _move(self, way: tuple[int, ...]) -> None:
        far = self._far.value / 100.0 * np.array(way, float)
        self._show(self._drive.move(far, (0.0, 0.0), self._hold.value, self._which()))

    def _look(self, way: tuple[int, ...]) -> None:
        wide = float(np.radians(self._wide.value))
        self._show(self._drive.move(np.zeros(3), (wide * way[0], wide * way[1]), False, self._which()))

    def _follow(self) -> None:
        self._show(self._drive.follow())

    def _begin(self) -> None:
        self._drive.begin(None if self._name.value == "any" else self._name.value)
        self.start()

    def _which(self) -> int:
        return 0 if self._body is None else self._drive.bodies.index(self._body.value)

    def _show(self, stopped: bool) -> None:
        self.show("Something is in the way." if stopped else "")


class ReplayPanel:
    """A slider over the steps of a recorded episode, and words."""

    def __init__(
        self, server: "ViserServer", view: ViserView, episodes: Sequence[Shown], do: Callable[[Job], None]
    ) -> None:
        self._view, self._at, self._placed = view, -1, False
        self._episodes = {f"{i + 1}: {one.record.object}, {one.label}": one for i, one in enumerate(episodes)}
        gui = server.gui
        self._words = gui.add_html("")
        names = tuple(self._episodes)
        self._name = gui.add_dropdown("episode", names, initial_value=names[0])
        self._step: Any = gui.add_slider("sensation", 1, max(2, len(episodes[0].record.trace)), 1, 1)
        self._name.on_update(lambda _: do(self._choose))
        self._step.on_update(lambda _: do(self.show))
        _button(gui, "next", "X", lambda: do(partial(self._go, 1)))
        _button(gui, "before", "Z", lambda: do(partial(self._go, -1)))
        self._choose()

    def _go(self, by: int) -> None:
        count = len(self._episodes[self._name.value].record.trace)
        self._step.value = min(count, max(1, self._step.value + by))

    def _choose(self) -> None:
        shown = self._episodes[self._name.value]
        self._step.max = max(2, len(shown.record.trace))
        self._step.value = 1
        self._view.look(*shown.camera(FIELD_OF_VIEW, aspect=1.1))
        self.show()

    def show(self) -> None:
        """Draw and tell the step at hand."""
        shown = self._episodes[self._name.value]
        record = shown.record
        k = min(self._step.value, len(record.trace)) - 1
        self._view.hide()
        self._view.place(shown.mesh, np.asarray(record.position), np.asarray(record.rotation))
        self._view.log(k, shown.snapshot(k))
        text = tell_step(record, k) + (f". {ending(record)}" if k == len(record.trace) - 1 else ".")
        self._words.content = (
            f"{STYLE}<div class='live'><h2>Sensation {k + 1} of {len(record.trace)}</h2>"
            f"<p>{html.escape(text[:1].upper() + text[1:])}</p>{column_table(record.trace[k], shown.colours)}</div>"
        )


def _bar(name: str, share: float, colours: Mapping[str, str]) -> str:
    colour, percent = colours.get(name, UNSURE), f"{100 * share:.1f}"
    word = "none of those known" if name == UNKNOWN else name
    bar = f"<div style='height:5px;width:{percent}%;background:{colour}'></div>"
    return f"<div>{chip(colour)}{html.escape(word)} {percent} %{bar}</div>"


def _buttons(gui: Any, label: str, ways: dict[str, tuple[str, tuple]], press: Callable[[tuple], None]) -> None:
    """A row of buttons, each with a key; `press` is called with its way."""
    texts = {f"{name} ({key})": way for name, (key, way) in ways.items()}
    row = gui.add_button_group(label, tuple(texts))
    row.on_click(lambda event: press(texts[event.target.value]))
    for name, (key, way) in ways.items():
        command = gui.add_command(f"{label} {name}", hotkey=key)
        command.on_trigger(lambda _, way=way: press(way))


def _button(gui: Any, label: str, key: str, press: Job) -> None:
    gui.add_button(f"{label} ({key})").on_click(lambda _: press())
    gui.add_command(label, hotkey=key).on_trigger(lambda _: press())
