"""One episode as one HTML page that needs nothing else: the answer and the story in words, belief over time, and the
scene in space, which plays.

The scene is a viser recording in a frame of its own. Its clock and the page's steps go together: the page reads the
number beside the recording's slider and writes it when a step is chosen. Where it finds no such number, both still
work, each by itself. The page may load nothing from anywhere; its own policy (CSP) forbids it.
"""

import html
import io
import json
from collections.abc import Mapping
from pathlib import Path
from string import Template

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cortical.columns.storage import write_whole

from .episode import EpisodeRecord, StepTrace
from .metrics import UNKNOWN
from .panels import UNSURE, draw_belief, draw_doubt
from .shown import Shown
from .story import ending, odds_text, share_text, tell, tell_step, turning_points
from .viser_view import FIELD_OF_VIEW, ViserView, close_server, open_server

SECONDS = 2.0
"""A step of the recording lasts so long; half a second more or less is nothing to its clock of tenths."""
STYLE = """<style>
.live { font-size: 13px; line-height: 1.4; padding: 0 2px } .live h2 { font-size: 15px; margin: 0 0 2px }
.live p { margin: 0 0 6px } .live .note { color: #8a4b00; min-height: 1.4em }
.live table { border-collapse: collapse; width: 100%; margin-top: 6px }
.live th { text-align: left; color: #666; border-bottom: 1px solid #ccc }
.live td { border-bottom: 1px solid #eee; padding: 1px 4px 1px 0; white-space: nowrap }
.live .columns { max-height: 14em; overflow: auto }
.chip { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 6px }
</style>"""
"""How words and tables look where the page's own style doesn't reach."""
WHAT = {
    "see-through solid": "the object itself",
    "dense points": "learnt maps, where columns think they lie",
    "pale points": "other poses still possible",
    "coloured lines": "votes, from what a column met to its object",
    "black dots": "what a sensor met (grey: before)",
    "black line, dashes": "its way, and where it goes next",
}
"""What is what in the scene."""
TEMPLATE = Path(__file__).with_name("page.html")


def write_page(shown: Shown, path: Path) -> Path:
    """Write the page of an episode; folders are made where they are missing.

    Raises ImportError with the install line where viser is missing.
    """
    scene = recording(shown)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, page(shown, scene).encode())
    return path


def recording(shown: Shown) -> str:
    """The scene as an HTML document that plays from the first step to the last, over and over."""
    server = open_server()
    try:
        view = ViserView(server)
        view.look(*shown.camera(FIELD_OF_VIEW))
        view.place(shown.mesh, np.asarray(shown.record.position), np.asarray(shown.record.rotation))
        view.log(0, shown.snapshot(0))
        serializer = server.get_scene_serializer()
        for step in range(1, len(shown.record.trace)):
            serializer.insert_sleep(SECONDS)
            view.log(step, shown.snapshot(step))
        serializer.insert_sleep(2 * SECONDS)
        return serializer.as_html()
    finally:
        close_server(server)


def page(shown: Shown, scene: str) -> str:
    """The page around a scene (an HTML document)."""
    record = shown.record
    picture, marks = plots(record, shown.experiment.decision.odds)
    steps = [_step(shown, k) for k in range(len(record.trace))]
    parts = {
        "title": html.escape(f"How {_columns(record)} explored the {record.object}"),
        "answer": html.escape(ending(record)),
        "facts": html.escape(facts(shown)),
        "steps": "\n".join(steps),
        "count": str(len(steps)),
        "story": "\n".join(_line(k, line) for k, line in zip(turning_points(record), tell(record), strict=True)),
        "legend": legend(shown),
        "what": "\n".join(f"<li><b>{thing}:</b> {word}</li>" for thing, word in WHAT.items()),
        "plots": picture,
        "scene": html.escape(scene, quote=True),
        "script": json.dumps({"seconds": SECONDS, "marks": marks}),
    }
    return Template(TEMPLATE.read_text()).substitute(parts)


def facts(shown: Shown) -> str:
    """An episode in figures, on one line."""
    record, eye = shown.record, shown.experiment.eye
    looks = f"{record.sensations} sensation{'s' * (record.sensations != 1)}"
    way, noise = f"{100 * record.path_m:.0f} cm travelled", f"sensor: {eye.noise}"
    which = f"seed {record.seed}, rotation {record.rotation_index}, recorded as {shown.label!r}"
    return "  ·  ".join([looks, f"odds {odds_text(record.odds_log)}", way, noise, which])


def plots(record: EpisodeRecord, odds: float) -> tuple[str, list[list[float]]]:
    """Belief and doubt over time as SVG, and where a mark of each step stands in it: per panel, shares of the width:
    of the first step, and from one step to the next."""
    figure = Figure(figsize=(15.5, 4.0), facecolor="white")
    belief, doubt = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.07, right=0.97, bottom=0.12, top=0.92, wspace=0.2)
    draw_belief(belief, record.trace, odds)
    draw_doubt(doubt, record.trace)
    text = io.StringIO()
    with rc_context({"svg.hashsalt": "cortical"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :], [_marks(axes) for axes in (belief, doubt)]


def _marks(axes: Axes) -> list[float]:
    place, (left, right) = axes.get_position(), axes.get_xlim()
    wide = place.width / (right - left)
    return [round(place.x0 + (1 - left) * wide, 5), round(wide, 6)]


def legend(shown: Shown) -> str:
    """What is what in the scene, in words."""
    names = {pose.object for step in shown.record.trace for pose in step.hypotheses}
    alone = {column.alone_best for step in shown.record.trace for column in step.columns}
    colours = {**shown.colours} | ({UNKNOWN: UNSURE} if UNKNOWN in alone else {})
    words = {name: name if name != UNKNOWN else "none of those known" for name in colours}
    chips = "".join(f"<li>{chip(colours[name])}{html.escape(word)}</li>" for name, word in words.items())
    others = f"<li>{chip(UNSURE)}any other</li>" if names - shown.colours.keys() else ""
    missing = sorted(names - shown.maps.keys())
    lines = [] if names else ["This run was recorded before poses were kept with it: no maps and votes are drawn."]
    if missing:
        lines.append(f"No map was found of {', '.join(missing)}: say where with --maps.")
    notes = "".join(f"<p class='note'>{html.escape(line)}</p>" for line in lines)
    return f"<ul class='chips'>{chips}{others}</ul>{notes}"


def chip(colour: str) -> str:
    """A spot of colour before a name."""
    return f"<span class='chip' style='background:{colour}'></span>"


def _step(shown: Shown, k: int) -> str:
    step = shown.record.trace[k]
    text = tell_step(shown.record, k)
    return (
        f"<section class='step' data-step='{k}'><h2>Sensation {k + 1} of {len(shown.record.trace)}</h2>"
        f"<p>{html.escape(text[:1].upper() + text[1:])}.</p>{column_table(step, shown.colours)}</section>"
    )


def column_table(step: StepTrace, colours: Mapping[str, str]) -> str:
    """What each column believes, by itself and after the votes, as HTML."""
    several = len(step.columns) > 1
    head = "<th></th><th>met</th><th>by itself</th>" + ("<th>after the votes</th>" if several else "")
    rows = []
    for index, (column, point) in enumerate(zip(step.columns, step.location, strict=True)):
        cells = [f"column {index + 1}", "object" if point else "nothing"]
        cells.append(_belief(column.alone_best, column.alone_log_odds, colours))
        if several:
            cells.append(_belief(column.best, column.log_odds, colours))
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<div class='columns'><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"


def _belief(name: str, log_odds: float, colours: Mapping[str, str]) -> str:
    text = share_text(name, log_odds) if name != UNKNOWN else share_text("none known", log_odds)
    return chip(colours.get(name, UNSURE)) + html.escape(text)


def _line(k: int, line: str) -> str:
    head, _, text = line.partition(": ")
    return f"<li><button data-go='{k}'>{html.escape(head)}</button> {html.escape(text)}</li>"


def _columns(record: EpisodeRecord) -> str:
    count = len(record.trace[0].columns)
    return "one column" if count == 1 else f"{count} columns that vote"
