"""Episodes in words: the story of one, and tables of many.

A place on the object is named in the object's own frame: z up, x to the right, y away from the reader. All here are
pure functions of episode records.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import median
from textwrap import TextWrapper

import numpy as np
from rich import box
from rich.markup import escape
from rich.table import Table

from .episode import ColumnTrace, EpisodeRecord, StepTrace
from .metrics import NOTHING, UNKNOWN, summarise

LINES = 6
"""A story tells at most so many sensations."""
SURE, LIKELY, POSSIBLE = 0.9, 0.6, 0.05
"""Shares of belief from which an object is 'it', 'most likely' and worth mentioning."""
WORTH = range(5, 10)
"""Sensations of an episode worth telling."""
RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
SIDES = {(0, 1): "right side", (0, -1): "left side", (1, 1): "back", (1, -1): "front"}


def tell(record: EpisodeRecord, coded: Collection[int] = ()) -> list[str]:
    """The story of an episode, one line for each turning point; the last line says how it ended.

    coded : the columns, counted from 0, that see by sparse codes alone (a record doesn't say which do)
    """
    if not record.trace:
        return [f"{_times(record.sensations)}. {ending(record)}"]
    lines = [f"sensation {k + 1}: {tell_step(record, k, coded)}" for k in turning_points(record)]
    lines[-1] += f". {ending(record)}"
    return lines


def tell_step(record: EpisodeRecord, k: int, coded: Collection[int] = ()) -> str:
    """What happened at step k, counted from 0, and what is believed after it."""
    return f"{_movement(record, k)}; {believed(record.trace[k], coded)}"


def share_text(name: str, log_odds: float) -> str:
    """An object and its share of belief, from its odds: 'mug 60 %', 'mug > 99 %'."""
    share = 100.0 / (1.0 + math.exp(-max(-700.0, log_odds)))
    return f"{_name(name)} {'> 99' if share > 99.5 else f'{share:.0f}'} %"


def ending(record: EpisodeRecord) -> str:
    """How an episode ended, in one sentence."""
    if record.answer is None:
        verdict = "right" if record.best_guess == record.object else f"wrong: it is {_a(record.object)}"
        why = ", for nothing more is worth a look" if record.ended == "price" else ""
        return f"Undecided{why}: the best guess, {_name(record.best_guess)}, is {verdict}."
    if record.answer == NOTHING:
        return f"Decided: nothing here, wrong: there is {_a(record.object)}."
    if record.answer == UNKNOWN:
        return f"Decided: none of the objects it knows. It is {_a(record.object)}."
    if not record.correct:
        return f"Decided: {record.answer}, wrong: it is {_a(record.object)}."
    return f"Decided: {record.answer}, right; the pose is {record.rotation_error_deg:.1f} degrees off (after symmetry)."


def worth_telling(records: Iterable[EpisodeRecord]) -> EpisodeRecord:
    """The episode that tells best: right, neither at once nor after long, with a change of mind on the way and,
    among such, the pose found best. Raises ValueError without episodes."""

    def flaws(record: EpisodeRecord) -> tuple[bool, int, bool, float]:
        beside = max(WORTH[0] - record.sensations, record.sensations - WORTH[-1], 0)
        constant = len(set(record.best_guess_per_step)) < 2
        return not record.correct, beside, constant, record.rotation_error_deg

    return min(records, key=flaws)


def wrapped(line: str, width: int) -> str:
    """A line of a story as a paragraph, indented, the lines after its first one more; what belongs together, like
    a name and its share, stays on one line."""
    bound = re.sub(r" (?=[:%]|cm\b|\(\d)|(?<=:) (?=\d)", "\N{NO-BREAK SPACE}", line)
    paragraph = TextWrapper(
        width, initial_indent=2 * " ", subsequent_indent=4 * " ", break_long_words=False, break_on_hyphens=False
    )
    text = paragraph.fill(bound)
    return text.replace("\N{NO-BREAK SPACE}", " ")


def turning_points(record: EpisodeRecord, most: int = LINES) -> list[int]:
    """Steps worth telling, in order: the first, the last, and those between at which belief changed most."""
    trace, last = record.trace, len(record.trace) - 1

    def change(k: int) -> float:
        swing = abs(min(10.0, trace[k].log_odds) - min(10.0, trace[k - 1].log_odds))
        return swing + 5.0 * (trace[k].best != trace[k - 1].best)

    between = sorted(range(1, last), key=change, reverse=True)[: most - 2]
    return sorted({0, *between, last})


def odds_text(log_odds: float) -> str:
    """Odds to two figures, from their logarithm: '1,200 : 1', '1 : 3'."""
    if log_odds < 0:
        return " : ".join(reversed(odds_text(-log_odds).split(" : "))) if log_odds < -0.05 else "1 : 1"
    if log_odds > math.log(1e6):
        return "over a million : 1"
    odds = math.exp(log_odds)
    digits = max(0, math.floor(math.log10(odds)) - 1)
    return f"{odds:.1f} : 1" if odds < 9.95 else f"{round(odds, -digits):,.0f} : 1"


def short_odds(log_odds: float) -> str:
    """Odds in at most five characters, from their logarithm: '860', '2·10⁴', '> 10⁶', '0.31' (less than even)."""
    if log_odds > math.log(1e6):
        return "> 10⁶"
    if log_odds < math.log(9999.5):
        return f"{math.exp(log_odds):.2f}" if log_odds < -0.005 else odds_text(log_odds).removesuffix(" : 1")
    figure, power = f"{math.exp(log_odds):.0e}".split("e+")
    return f"{figure}·10{power.lstrip('0').translate(RAISED)}"


def place(point: Sequence[float] | np.ndarray) -> str:
    """Where on an object a point (3,) in its frame lies: 'near its top', 'high on its left side'."""
    point = np.asarray(point, float)
    length = float(np.linalg.norm(point))
    if length < 1e-3:
        return "into its middle"
    x, y, z = (point / length).tolist()
    if abs(z) >= max(abs(x), abs(y)):
        return "near its top" if z > 0 else "near its bottom"
    side = SIDES[(0, 1 if x > 0 else -1)] if abs(x) >= abs(y) else SIDES[(1, 1 if y > 0 else -1)]
    return f"{'at' if abs(z) < 0.45 else 'high on' if z > 0 else 'low on'} its {side}"


def _movement(record: EpisodeRecord, k: int) -> str:
    step = record.trace[k]
    points = [point for point in step.location if point]
    if points:
        middle = np.mean(points, 0) - np.asarray(record.position)
        target = place(np.asarray(record.rotation).T @ middle)
    else:
        target = "but meets nothing"
    if k == 0:
        return f"a first look {target}" if points else "a first look meets nothing"
    before = record.trace[k - 1]
    centimetres = 100.0 * math.dist(step.eye, before.eye)
    moves = f"moves {centimetres:.0f} cm" if centimetres >= 0.5 else "stays"
    return f"{moves} and looks {_aim(before) if step.expected_nats > 0 else 'at random'}, {target}"


def _aim(before: StepTrace) -> str:
    """What a movement was for, from what was believed before it."""
    ranked = [(name, share) for name, share in _ranked(before) if name != UNKNOWN]
    if ranked and ranked[0][1] > SURE:
        return "to pin down its pose"
    rivals = [name for name, share in ranked if share >= POSSIBLE]
    return (
        f"where {rivals[0]} and {rivals[1]} would differ most" if len(rivals) > 1 else "where it expects to learn most"
    )


def believed(step: StepTrace, coded: Collection[int] = ()) -> str:
    """What the columns believe after a step, and how far they agree."""
    together = _verdict(step)
    if len(step.columns) < 2:
        return together
    groups: dict[str, list[int]] = {}
    for index, column in enumerate(step.columns):
        groups.setdefault(column.best, []).append(index)
    seeing = sum(bool(point) for point in step.location)
    met = "" if seeing in (0, len(step.columns)) else f"{seeing} of {len(step.columns)} columns meet it; "
    if set(groups) == {step.best}:
        sure = step.posterior.get(step.best, 0.0) >= SURE
        return f"{met}{_all(step.columns)}: {together}" if sure else f"{met}{together}"
    leaning = [f"{_numbers(members, coded)} to {_name(name)}" for name, members in groups.items()]
    first, rest = leaning[0].split(" to ", 1), leaning[1:]
    verb = "leans" if len(next(iter(groups.values()))) == 1 else "lean"
    return f"{met}{', '.join([f'{first[0]} {verb} to {first[1]}', *rest])}; together {together}"


def _all(columns: list[ColumnTrace]) -> str:
    return "both columns agree" if len(columns) == 2 else f"all {len(columns)} columns agree"


def _numbers(members: list[int], coded: Collection[int]) -> str:
    """columns 1-4 and 7; column 5, which sees codes alone,"""
    runs: list[list[int]] = []
    for index in members:
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    texts = [f"{run[0] + 1}" if len(run) == 1 else f"{run[0] + 1}-{run[-1] + 1}" for run in runs]
    if len(members) == 1:
        return f"column {texts[0]}" + (", which sees codes alone," if members[0] in coded else "")
    return f"columns {_listed(texts, 'and')}"


def _verdict(step: StepTrace) -> str:
    ranked = _ranked(step)
    name, share = ranked[0]
    if share >= SURE:
        return f"{_name(name)}, {odds_text(step.log_odds)}"
    possible = [(n, p) for n, p in ranked if p >= POSSIBLE]
    if share >= LIKELY:
        others = f", else {_name(possible[1][0])}" if len(possible) > 1 else ""
        return f"most likely {_name(name)} ({share:.0%}){others}".replace("%", " %")
    texts = [f"{_name(n)} ({100 * p:.0f} %)" for n, p in possible[:3]] or [f"{_name(name)} ({100 * share:.0f} %)"]
    return f"could be {_listed([*texts, 'another'] if len(possible) > 3 else texts, 'or')}"


def _ranked(step: StepTrace) -> list[tuple[str, float]]:
    return sorted(step.posterior.items(), key=lambda item: -item[1])


def _listed(texts: Sequence[str], word: str) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} {word} {texts[-1]}"


def _name(name: str) -> str:
    return "something unknown" if name == UNKNOWN else name


def _a(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _times(count: int) -> str:
    return "one sensation" if count == 1 else f"{count} sensations"


# ------------------------------------------------------------------ tables

TOTALS = "right, medians"
NUMBER = {"justify": "right", "no_wrap": True}


def episode_table(rows: Iterable[EpisodeRecord], title: str = "") -> Table:
    """One line an episode; below them the share of right answers and the medians (errors: of right answers). A pose
    has an error only if it is of the right object."""
    rows = list(rows)
    table = _table(title, (0, 1, 0, 0))
    table.add_column("\nobject", TOTALS, overflow="fold")
    table.add_column("\nanswer", _share(rows), overflow="fold")
    table.add_column("\nodds", **NUMBER)
    table.add_column("sensa-\ntions", _middle([r.sensations for r in rows]), **NUMBER)
    table.add_column("pose error\n(deg)", _middle([r.rotation_error_deg for r in rows if r.correct]), **NUMBER)
    table.add_column("ADD-S\n(mm)", _middle([r.add_s_mm for r in rows if r.correct]), **NUMBER)
    for row in rows:
        guess = f" ({row.best_guess})" if row.answer is None else ""
        distance = _short(row.add_s_mm) if row.best_guess == row.object else "–"
        table.add_row(escape(row.object), *_cells(row, guess), distance)
    if any(row.code_multiply_adds for row in rows):
        work, joules = (median(getattr(r, name) for r in rows) for name in ("code_multiply_adds", "code_joules"))
        table.caption = f"codes: {work / 1e6:.1f} million multiply-adds, {1e6 * joules:.0f} µJ (model)"
        table.caption_justify = "left"
    return table


def compare_table(
    one: Iterable[EpisodeRecord],
    five: Iterable[EpisodeRecord],
    labels: tuple[str, str] = ("one column", "five columns"),
    title: str = "",
) -> Table:
    """The same episodes under two conditions side by side, matched by object, seed and rotation."""
    sides = [{(r.object, r.seed, r.rotation_index): r for r in rows} for rows in (one, five)]
    table = _table(title, 0)
    table.caption = "sens.: sensations; deg: pose error after symmetry"
    table.caption_justify = "left"
    table.add_column("\nobject", TOTALS, overflow="fold")
    for side, label in zip(sides, labels, strict=True):
        rows = list(side.values())
        table.add_column("│\n│", "│", no_wrap=True, style="dim", header_style="dim", footer_style="dim")
        table.add_column(f"{label}\nanswer", _share(rows), overflow="fold")
        table.add_column("\nodds", **NUMBER)
        table.add_column("\nsens.", _middle([r.sensations for r in rows]), **NUMBER)
        table.add_column("\ndeg", _middle([r.rotation_error_deg for r in rows if r.correct]), **NUMBER)
    for key in dict.fromkeys([*sides[0], *sides[1]]):
        halves = [_cells(side[key]) if key in side else ["–"] * 4 for side in sides]
        table.add_row(escape(key[0]), "│", *halves[0], "│", *halves[1])
    return table


def vote_table(rows_by_columns: Mapping[int, Sequence[EpisodeRecord]], title: str = "") -> Table:
    """One line for each number of columns; the pose error is the median of right answers.

    Raises ValueError for a number without episodes.
    """
    table = _table(title, (0, 1, 0, 0))
    table.show_footer = False
    heads = (
        "\ncolumns", "\ncorrect", "\nundecided", "sensations:\nmedian, p95", "pose error\n(deg)", "within\n10 deg",
        "ms a step\nand column",
    )  # fmt: skip
    for head in heads:
        table.add_column(head, **NUMBER)
    for count in sorted(rows_by_columns):
        rows = rows_by_columns[count]
        figures = summarise(rows)
        needed = f"{figures['sensations_median']:g}, {figures['sensations_p95']:.0f}"
        error, near, thinking = (figures[k] for k in ("rotation_error_median_deg", "within_10deg", "think_ms_median"))
        table.add_row(
            str(count), _share(rows), str(sum(row.answer is None for row in rows)), needed,
            "–" if error is None else _short(error), "–" if near is None else f"{100 * near:.0f} %",
            "–" if thinking is None else f"{thinking / count:.1f}",
        )  # fmt: skip
    return table


def _table(title: str, padding: int | tuple[int, int, int, int]) -> Table:
    """Without vertical rules: a terminal of 80 columns has no room for them."""
    return Table(title=title or None, box=box.SIMPLE, show_edge=False, padding=padding, show_footer=True)


def _cells(row: EpisodeRecord, guess: str = "") -> list[str]:
    """Answer (a tick if it is right), odds, sensations, pose error."""
    answer = "✓" if row.correct else "undecided" if row.answer is None else row.answer
    colour = "green" if row.correct else "yellow" if row.answer is None else "red"
    return [
        f"[{colour}]{escape(answer + guess)}[/{colour}]",
        short_odds(row.odds_log),
        str(row.sensations),
        _short(row.rotation_error_deg) if row.best_guess == row.object else "–",
    ]


def _share(rows: Sequence[EpisodeRecord]) -> str:
    return f"{sum(row.correct for row in rows)} of {len(rows)}"


def _middle(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return f"{median(values):g}" if isinstance(values[0], int) else _short(median(values))


def _short(value: float) -> str:
    """In four characters: 4.2, 99.9, 136."""
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
