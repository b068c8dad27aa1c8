"""How well columns name spoken words, and what the same column does by touch and by sight: one circuit, any sense.

    python benchmarks/hearing.py --sounds FOLDER [--parts sound swap]

FOLDER holds WORD_SPEAKER_TAKE.wav or fsdd.npz (the Free Spoken Digit Dataset). Takes 0-4 are asked, later ones taught,
by the dataset's own split; settings were chosen on takes 5-9. Or all of a speaker is asked and the others taught.

sound : right after each sensation, by recordings taught a word, columns (each hears its own bands, and they vote),
    noise and speaker, beside plain recognisers on the same log-mels that hear whole recordings (hearing_baselines.py)
swap : a column learns by touch, then gets an eye's stream, then learns again (hearing_swap.py); --maps keeps what an
    eye alone has learnt

A run that was cut off goes on where it was. Writes the result file and a picture beside it. The last line printed is
one JSON object with the figures.
"""

import argparse
import json
import platform
import time
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hearing_swap
import numpy as np
import recognition
import replaying
import torch
from hearing_baselines import nearest
from hearing_plot import picture
from provenance import commit

from cortical.agents.hearing import Listener, learn_word
from cortical.agents.records import PACKAGES
from cortical.envs.ear import Ear
from cortical.envs.sound import Clip, Sound, read_clips, sound_of

TAKES, TUNING = 5, 10  # takes below the first are asked, below the second were for tuning, the others are taught
COLUMN = {"split": "take", "taught": 30, "columns": 4, "noise": None}
SETTINGS = (
    *({**COLUMN, "taught": taught} for taught in (1, 10, 30, 100)),
    *({**COLUMN, "taught": taught, "columns": 1} for taught in (10, 30)),
    {**COLUMN, "columns": 8},
    *({**COLUMN, "noise": noise} for noise in (20, 10)),
    {**COLUMN, "split": "speaker"},
)  # fmt: skip
"""split: by take or by speaker; taught: recordings of each word; noise: decibels under the word's power."""
STEPS = {1: 40, 4: 16, 8: 12}
"""Sensations of so many columns."""
Row = dict[str, Any]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sounds", type=Path, help="folder of recordings")
    parser.add_argument("--parts", nargs="+", choices=("sound", "swap"), default=["sound", "swap"])
    parser.add_argument("--asked", type=int, default=60, help="recordings asked in each setting, drawn by the seed")
    parser.add_argument("--seed", type=int, default=0, help="published: 0; draws what is taught, asked and heard")
    parser.add_argument("--maps", type=Path, default=Path("runs/maps"), help="where learnt maps of objects are kept")
    parser.add_argument("--rotations", type=int, default=3, help="poses of each object, of the swap")
    parser.set_defaults(moves={}, objects=None)  # of other benchmarks
    parser.add_argument("--output", type=Path, default=recognition.RESULTS / "hearing.json")
    args = parser.parse_args()
    if "sound" in args.parts and args.sounds is None:
        parser.error("--sounds FOLDER says where the recordings are; --parts swap does without")
    return args


@lru_cache(maxsize=1)
def clips(folder: Path) -> list[Clip]:
    """All recordings."""
    return read_clips(folder)


@lru_cache(maxsize=4096)
def quiet(folder: Path, index: int) -> Sound:
    """A recording without noise."""
    return sound_of(clips(folder)[index])


def split(all_clips: list[Clip], setting: Row, seed: int, asked: int) -> list[tuple[list[int], list[int]]]:
    """Which recordings are taught and which asked, for each fold (one; or one a speaker)."""
    random, count = np.random.default_rng(seed), range(len(all_clips))
    if setting["split"] == "take":
        known = [i for i in count if all_clips[i].take >= TUNING]
        new = [i for i in count if all_clips[i].take < TAKES]
        return [(chosen(all_clips, known, setting["taught"], random), random.permutation(new)[:asked].tolist())]
    folds, speakers = [], sorted({clip.speaker for clip in all_clips})
    for speaker in speakers:
        known = [i for i in count if all_clips[i].speaker != speaker and all_clips[i].take >= TUNING]
        new = [i for i in count if all_clips[i].speaker == speaker and all_clips[i].take < TAKES]
        taught = chosen(all_clips, known, setting["taught"], random)
        folds.append((taught, random.permutation(new)[: -(-asked // len(speakers))].tolist()))
    return folds


def chosen(all_clips: list[Clip], among: list[int], taught: int, random: np.random.Generator) -> list[int]:
    """So many recordings of each word."""
    words = sorted({all_clips[i].word for i in among})
    return [
        int(i) for word in words for i in random.permutation([i for i in among if all_clips[i].word == word])[:taught]
    ]


def ask(job: tuple[str, argparse.Namespace, str]) -> list[Row]:
    """One row a recording asked: how it was named after each sensation, and by the plain recognisers."""
    _, args, label = job
    setting = SETTINGS[int(label.split("-")[0])]
    rows: list[Row] = []
    for taught, asked in split(clips(args.sounds), setting, args.seed, args.asked):
        rows += _fold(args, setting, taught, asked)
    return rows


def _fold(args: argparse.Namespace, setting: Row, taught: list[int], asked: list[int]) -> list[Row]:
    everything = clips(args.sounds)
    words = sorted({everything[i].word for i in taught})
    of = {word: [quiet(args.sounds, i) for i in taught if everything[i].word == word] for word in words}
    listener = Listener.knowing({word: learn_word(sounds) for word, sounds in of.items()}, Ear(setting["columns"]))
    random = {i: np.random.default_rng([args.seed, i]) for i in asked}
    heard = {i: sound_of(everything[i], setting["noise"], random[i]) for i in asked}
    plain = nearest([(word, sound) for word in words for sound in of[word]], list(heard.values()))
    rows = [listened(listener, heard[i], everything[i], STEPS[setting["columns"]], random[i]) for i in asked]
    for row, *words_given in zip(rows, *plain.values(), strict=True):
        row |= dict(zip(plain, words_given, strict=True)) | {"setting": setting}
    return rows


def listened(listener: Listener, sound: Sound, clip: Clip, steps: int, random: np.random.Generator) -> Row:
    """What was answered after each sensation, how far from upright the word is held at the end, CPU time."""
    began = time.process_time()
    beliefs = list(listener.hear(sound, steps, random))
    spent = time.process_time() - began
    consensus = beliefs[-1].consensus
    assert consensus is not None
    turn = np.clip((float(consensus.pose.rotation[0].diagonal().sum()) - 1) / 2, -1, 1)
    return {
        "word": clip.word, "speaker": clip.speaker, "take": clip.take, "answers": [listener.word(b) for b in beliefs],
        "turned_deg": float(np.degrees(np.arccos(turn))), "think_ms": 1e3 * spent / steps,
    }  # fmt: skip


def summary(rows: list[Row]) -> dict[str, Any]:
    """Figures of each setting."""
    found: dict[str, Any] = {"settings": []}
    for setting in SETTINGS:
        mine = [row for row in rows if row.get("setting") == setting]
        if mine:
            found["settings"].append({**setting, **figures(mine)})
    return found


def figures(rows: list[Row]) -> Row:
    """Share right after each sensation, at the end with its 95 % interval, and of the plain recognisers."""
    right = np.array([[answer == row["word"] for answer in row["answers"]] for row in rows])
    drawn = np.random.default_rng(0).integers(len(right), size=(2000, len(right)))
    low, high = np.percentile(right[:, -1][drawn].mean(1), [2.5, 97.5])
    return {
        "asked": len(rows), "right": float(right[:, -1].mean()), "right_interval": [float(low), float(high)],
        "right_after": right.mean(0).tolist(), "think_ms": float(np.median([row["think_ms"] for row in rows])),
        "turned_deg": float(np.median([row["turned_deg"] for row in rows])),
        **{name: float(np.mean([row[name] == row["word"] for row in rows])) for name in ("warping", "euclid")},
    }  # fmt: skip


def described(args: argparse.Namespace) -> dict[str, Any]:
    """How and with what the result was made."""
    parts = "" if len(args.parts) == 2 else f" --parts {args.parts[0]}"
    command = f"python benchmarks/hearing.py --sounds $FSDD{parts} --asked {args.asked} --rotations {args.rotations}"
    return {
        "command": command,
        "commit": commit(), "versions": {p: version(p) for p in PACKAGES}, "seed": args.seed, "threads": 1,
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
    }  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    args = arguments()
    head = described(args)
    kept, rows, found = recognition.unfinished(args, head, args.rotations), [], {}
    if "sound" in args.parts:
        jobs = [("sound", args, f"{k}-{args.asked}") for k in range(len(SETTINGS))]
        rows += replaying.finished(ask, jobs, kept, 1)
        found |= summary(rows)
    if "swap" in args.parts:
        jobs = [("swap", args, name) for name in hearing_swap.names()]
        rows += replaying.finished(hearing_swap.swapped, jobs, kept, 1)
        found["swap"] = hearing_swap.summary(rows)
    recognition.write(args.output, head | {"summary": recognition.rounded(found), "rows": recognition.rounded(rows)})
    picture(args.output)
    print(json.dumps(recognition.rounded(shown(found))))


def shown(found: dict[str, Any]) -> dict[str, Any]:
    """The last line: without the curves."""
    brief = [{k: v for k, v in s.items() if k != "right_after"} for s in found.get("settings", [])]
    return {**found, **({"settings": brief} if brief else {})}


if __name__ == "__main__":
    main()
