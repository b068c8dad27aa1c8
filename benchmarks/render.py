"""Renders the tables of the README, the guide and the log from the committed result files:

    python benchmarks/render.py [--check]
"""

import argparse
import json
import re
import sys
from pathlib import Path

from render_sparse import sparse

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
ROWS = (
    ("one column", "default-noise-1-information_gain-surface-rays"),
    ("one column, random saccades", "default-noise-1-saccade-surface-rays"),
    ("one column, sparse codes alone", "default-noise-1-information_gain-sdr-rays"),
    ("one column, surface and codes", "default-noise-1-information_gain-both-rays"),
    ("one column, PyBullet's camera", "default-noise-1-information_gain-surface-camera"),
    ("one finger, no eye", "default-noise-0-information_gain-surface-rays-touch1"),
    ("an eye and a finger that vote", "default-noise-1-information_gain-surface-rays-touch1"),
    ("five columns that vote", "default-noise-5-information_gain-surface-rays"),
    ("five columns that don't", "default-noise-5-information_gain-surface-rays-none"),
)


SCANS = (
    ("10 distinct, `noise`", "ycb10-noise-1", "100 %, 29-30, 14-17°"),
    ("10 similar, `noise`", "ycb10similar-noise-1", "95-96 %, 146-172, 20-25°"),
    ("77, `noise`", "ycb77-noise-1", "94-98 %, 92-122, 23-30°"),
    ("77, `clean`", "ycb77-clean-1", "98-100 %, 43-75, 2-14°"),
    ("77, `noise`, five columns", "ycb77-noise-5", "91 %, 35, 54°"),
    ("10 distinct, `rawnoise`", "ycb10-rawnoise-1", "75 %, 16, 84°"),
    ("77, `dropout`, five columns", "ycb77-dropout-5", ""),
)


HEAD = "| episodes | correct (95 %) | sensations, median / p95 | rotation error, median | within 10° "


def _figures(s: dict) -> str:
    """The cells of HEAD."""
    low, high = s["correct_interval"]
    return (
        f"| {s['episodes']} | {100 * s['correct']:.1f} % ({100 * low:.1f}-{100 * high:.1f}) "
        f"| {s['sensations_median']:g} / {s['sensations_p95']:.0f} | {s['rotation_error_median_deg']:.1f}° "
        f"| {100 * s['within_10deg']:.0f} % "
    )


def _summary(name: str) -> dict | None:
    file = RESULTS / f"recognition-{name}.json"
    return json.loads(file.read_text())["summary"] if file.exists() else None


def recognition() -> str:
    """One line a result file."""
    lines = [f"| default suite, `noise` {HEAD}| ADD-S | thinking a step |", 8 * "|---" + "|"]
    for label, name in ROWS:
        if s := _summary(name):
            lines.append(f"| {label} {_figures(s)}| {s['add_s_median_mm']:.1f} mm | {s['think_ms_median']:.1f} ms |")
    return "\n".join(lines)


def scans() -> str:
    """Recognition of the YCB scans, one line a result file, beside what the peer publishes."""
    lines = [f"| scans {HEAD}| tbp.monty: correct, steps, rotation |", 7 * "|---" + "|"]
    for label, name, peer in SCANS:
        if s := _summary(f"{name}-information_gain-surface-rays"):
            lines.append(f"| {label} {_figures(s)}| {peer} |")
    return "\n".join(lines)


def sensing() -> str:
    """The figures of benchmarks/sensing.py."""
    found = json.loads((RESULTS / "sensing.json").read_text())
    s = found.get("figures", found)
    return (
        "| patch | sensed in a batch, per CPU second | one `env.step`, median |\n|---|---|---|\n"
        f"| 5 x 5 rays | {s['obs_per_cpu_s_5x5_5k']:,.0f} | {s['env_step_us_5x5']:.0f} µs |\n"
        f"| 16 x 16 rays | {s['obs_per_cpu_s_16x16_5k']:,.0f} | {s['env_step_us_16x16']:.0f} µs |"
    )


def vector_env() -> str:
    """The figures of benchmarks/vector_env.py."""
    s = json.loads((RESULTS / "vector_env.json").read_text())
    return (
        "| 16 x 16 pixels, 5,184 triangles | sensations per CPU second | memory |\n|---|---|---|\n"
        f"| 64 worlds side by side | {s['native_64_per_cpu_s']:,} | {s['memory_mib_per_world']:.2f} MiB a world |\n"
        f"| one world | {s['rays_single_per_cpu_s']:,} | |\n"
        f"| one world, PyBullet's camera | {s['camera_single_per_cpu_s']:,} | |\n\n"
        f"That is {s['vs_camera']:.0f} times the camera, and {100 * s['native_vs_sensing']:.0f} % of what sensing in a "
        "batch alone reaches in the same run."
    )


def pushing() -> str:
    """The figures of benchmarks/pushing.py."""
    result = json.loads((RESULTS / "pushing.json").read_text())
    found, rows = result["summary"], result["rows"]
    lines = [
        "| the object is pushed | episodes | noticed, after looks (median / p90) | found again within 5 mm "
        "| error before, median | at the end, median / p90 |\n|---|---|---|---|---|---|"
    ]
    for label, name in (("columns that watch out", "watchful"), ("columns that don't", "blind")):
        s = found[name]
        after = f", {s['noticed_after_median']:g} / {s['noticed_after_p90']:g}" if s["noticed"] else ""
        lines.append(
            f"| {label} | {s['episodes']} | {100 * s['noticed']:.0f} %{after} | {100 * s['found_again']:.0f} % "
            f"| {s['before_mm']:.1f} mm | {s['end_mm']:.1f} / {s['end_p90_mm']:.1f} mm |"
        )
    before, after = result["looks"]
    early = [look for row in rows if row["suite"] == "watchful" for look in row["alarms"] if look <= before]
    calm = [row["alarms"] for row in rows if row["suite"] == "control"]
    looks = before * found["watchful"]["episodes"] + (before + after) * len(calm)
    false = len(early) + sum(map(len, calm))
    return "\n".join(lines) + f"\n\nFalse alarms: {false} in {looks:,} looks at objects that nobody had pushed."


def policy_learning() -> str:
    """The figures of benchmarks/policy_learning.py."""
    found = json.loads((RESULTS / "policy_learning.json").read_text())["figures"]
    lines = ["| moves by | episodes | correct | sensations, mean | against random saccades (95 %) |", 5 * "|---" + "|"]
    for label, s in found.items():
        low, high = s.get("difference_interval", (0, 0))
        less = f"{s['difference']:+.1f} ({low:+.1f} to {high:+.1f})" if "difference" in s else ""
        mean = f"{s['sensations_mean']:.1f}"
        lines.append(f"| {label} | {s['episodes']:g} | {100 * s['correct']:.1f} % | {mean} | {less} |")
    return "\n".join(lines)


POLICY = "| policy | episodes | correct | sensations, mean (median / p95) | path, mean | rotation error, median |"


def _movement() -> dict:
    return json.loads((RESULTS / "movement.json").read_text())


def policies() -> str:
    """Every policy on every suite, of benchmarks/movement.py."""
    found = _movement()
    lines = ["| suite " + POLICY, 7 * "|---" + "|"]
    for suite, rows in found["policies"].items():
        lines += [f"| {suite} " + _policy(found["names"][p], s) for p, s in rows.items() if p not in found["variants"]]
    return "\n".join(lines)


def _policy(label: str, s: dict) -> str:
    return (
        f"| {label} | {s['episodes']} | {100 * s['correct']:.1f} % | {s['sensations_mean']:.1f} "
        f"({s['sensations_median']:g} / {s['sensations_p95']:.0f}) | {s['path_m_mean']:.2f} m "
        f"| {s['rotation_error_median_deg']:.1f}° |"
    )


def ratios() -> str:
    """What the information policy needs of what others need, of benchmarks/movement.py."""
    lines = ["| suite | sensations of surface following | its path | sensations of random saccades |", 4 * "|---" + "|"]
    for suite, pairs in _movement()["pairs"].items():
        cells = [
            f"{pairs[k]['ratio']:.2f} ({pairs[k]['interval'][0]:.2f}-{pairs[k]['interval'][1]:.2f})"
            for k in ("surface_follow_sensations", "surface_follow_path_m", "saccade_sensations")
        ]
        lines.append("| " + " | ".join([suite, *cells]) + " |")
    return "\n".join(lines)


def scores() -> str:
    """Variants of the information policy on the default suite, of benchmarks/movement.py."""
    found = _movement()
    names = found["names"] | {"information_gain": "odds, the default"}
    lines = [POLICY.replace("policy", "score"), 6 * "|---" + "|"]
    return "\n".join(lines + [_policy(names[score], s) for score, s in found["scores"].items()])


def symbolic() -> str:
    """Mean touches in the world of symbols with one column, of benchmarks/movement_symbolic.py."""
    result = json.loads((RESULTS / "movement_symbolic.json").read_text())
    one = {(r["policy"], r["features"]): r["touches"] for r in result["policies"] if r["columns"] == 1}
    exact = {r["features"]: r["exact"] for r in result["passive"] if r["columns"] == 1}
    lines = ["| mean touches until one object is left | " + " | ".join(f"{f} symbols" for f in exact) + " |"]
    lines += [(len(exact) + 1) * "|---" + "|"]
    lines += ["| at random, exact | " + " | ".join(f"{t:.3f}" for t in exact.values()) + " |"]
    lines += ["| information | " + " | ".join(f"{one['information', f]:.3f}" for f in exact) + " |"]
    return "\n".join(lines)


def learning() -> str:
    """What it takes to learn by moving freely, of benchmarks/movement_learning.py."""
    found = json.loads((RESULTS / "movement_learning.json").read_text())["summary"]
    lines = ["| learnt by | glances until 99 % are right | right after so many glances |", 3 * "|---" + "|"]
    for mover, after in found["glances_to_99"].items():
        right = ", ".join(f"{count}: {100 * share:.1f} %" for count, share in found["correct"][mover].items())
        lines.append(f"| `{mover}` | {after:.0f} | {right} |")
    return "\n".join(lines)


def ablations() -> str:
    """The system with one ingredient off at a time, of benchmarks/ablations.py."""
    result = json.loads((RESULTS / "ablations.json").read_text())
    names = {"whole": "nothing"} | result["off"]
    names["symmetry"] = "symmetry in the scoring"
    lines = []
    for suite, found in result["summary"].items():
        count = found["whole"]["episodes"]
        lines += [
            f"| `{suite}`, {count} episodes, off: | correct (wrong, unknown, undecided) | sensations, median / p95 "
            "| more (95 %) | rotation error, median | more (95 %) | within 10° |", 7 * "|---" + "|",
        ]  # fmt: skip
        lines += [_ablated(name, found[off]) for off, name in names.items() if off in found]
        lines.append("")
    return "\n".join(lines[:-1])


def _ablated(name: str, s: dict) -> str:
    others = ", ".join(str(s[key]) for key in ("wrong_name", "unknown", "undecided"))
    more, turned = (_more(s[key]) for key in ("sensations_difference", "rotation_difference_deg"))
    error = "" if s["rotation_error_median_deg"] is None else f"{s['rotation_error_median_deg']:.1f}°"
    within = "" if s["within_10deg"] is None else f"{100 * s['within_10deg']:.0f} %"
    took = f"{s['sensations_median']:g} / {s['sensations_p95']:.0f}"
    return f"| {name} | {100 * s['correct']:.1f} % ({others}) | {took} | {more} | {error} | {turned} | {within} |"


def _more(difference: list[float] | None) -> str:
    """A paired difference with its interval, nothing for none."""
    if difference is None or not any(difference):
        return ""
    middle, low, high = difference
    return f"{middle:+.1f} ({low:+.1f} to {high:+.1f})"


def voting() -> str:
    """One to many columns, of benchmarks/voting.py."""
    result = json.loads((RESULTS / "voting.json").read_text())
    s = result["summary"]
    lines = [
        "| columns | best guess right after one sensation | decided rightly after one | correct | sensations, mean "
        "| rotation error, median |", 6 * "|---" + "|",
    ]  # fmt: skip
    for columns, guess in s["right_by_columns"].items():
        decided, correct = s["decided_rightly_by_columns"][columns], s["correct_by_columns"][columns]
        took, turned = s["sensations_by_columns"][columns], s["rotation_error_median_deg_by_columns"][columns]
        lines.append(
            f"| {columns} | {100 * guess:.0f} % | {100 * decided:.0f} % | {100 * correct:.1f} % | {took:.2f} "
            f"| {turned:.1f}° |"
        )
    episodes = s["episodes"]["64-intact"]
    return "\n".join([*lines, "", f"(`{result['command']}`, {episodes} episodes a row.)"])


def hearing() -> str:
    """One circuit for touch, sight and sound, of benchmarks/hearing.py."""
    found = json.loads((RESULTS / "hearing.json").read_text())["summary"]
    swap = found["swap"]
    heard = {
        f"{one['columns']} columns, {one['taught']} recordings a word, {of} (dynamic time warping of the whole: "
        f"{100 * one['warping']:.0f} %)": one
        for split, of in (("take", "new takes"), ("speaker", "new speakers"))
        for one in [max((s for s in found["settings"] if s["split"] == split and not s["noise"]), key=_taught)]
    }
    stages = {
        "touch": "learnt by touch, recognises by touch", "sight, swapped": "the same maps, given the eye's stream",
        "sight, learnt again": "learns again from the eye, recognises by sight",
        "touch again": "and by touch again",
        "sight alone": "learnt by sight from the start, shapes alone",
    }  # fmt: skip
    lines = ["| one column, nothing changed but its input | right (95 %) |", "|---|---|"]
    lines += [f"| {label} | {_share(swap[stage])} |" for stage, label in stages.items()]
    lines += ["", "| the same kind of column, set to sound: spoken digits | right (95 %) |", "|---|---|"]
    return "\n".join(lines + [f"| {label} | {_share(one)} |" for label, one in heard.items()])


def _taught(one: dict) -> int:
    return one["taught"]


def _share(s: dict) -> str:
    low, high = s["right_interval"]
    return f"{100 * s['right']:.0f} % ({100 * low:.0f}-{100 * high:.0f})"


TABLES = (
    recognition, scans, sensing, vector_env, pushing, policy_learning, policies, ratios, scores, symbolic, learning,
    ablations, voting, hearing, sparse,
)  # fmt: skip
FILES = (ROOT / "README.md", ROOT / "demos" / "guide" / "moving.md", ROOT / "benchmarks" / "LOG.md")


def rendered(text: str) -> str:
    """A text with its tables replaced."""
    for kind in TABLES:
        pattern = rf"(<!-- {kind.__name__}: [^>]*-->\n).*?(<!-- end -->)"
        if re.search(pattern, text, flags=re.S):
            table = kind()
            text = re.sub(pattern, lambda m, table=table: m[1] + table + "\n" + m[2], text, flags=re.S)
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say whether the texts are up to date")
    check = parser.parse_args().check
    old = {file: file.read_text() for file in FILES}
    new = {file: rendered(text) for file, text in old.items()}
    if check:
        return int(old != new)
    for file, text in new.items():
        file.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
