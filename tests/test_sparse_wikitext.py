"""The parts of benchmarks/sparse_wikitext.py that its figures rest on, on a toy text."""

import json
import math
import sys
import zipfile
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import sparse_wikitext as bench  # pyright: ignore[reportMissingImports]
import sparse_wikitext_nets as nets  # pyright: ignore[reportMissingImports]
import sparse_wikitext_text as texts  # pyright: ignore[reportMissingImports]

pytestmark = pytest.mark.usefixtures("one_thread")
SETTINGS = nets.Settings(
    12, 24, width=20, heads=2, context=8, batch=4, every=4, validate=4, validation_tokens=160, rate=0.02
)
METHODS = {
    "dense": nets.Method(),
    "static": nets.Method(0.3),
    "set": nets.Method(0.3, "set", by_size=True),
    "rigl": nets.Method(0.3, "rigl", winners=0.2),
    "calm": nets.Method(0.3, "rigl", share=0.1, looks=3),
    "wider": nets.Method(0.15, "rigl", inner=2.0),
    "pruned": nets.Method(0.3, "prune", by_size=True),
}


def lines(number, seed):
    """A language of eight words, each followed by one of two, so that the best perplexity is about 2."""
    generator = torch.Generator().manual_seed(seed)
    word, text = 0, []
    for _ in range(number):
        told = []
        for turn in torch.randint(2, (9,), generator=generator).tolist():
            word = (2 * word + 1 + turn) % 8
            told.append(f"w{word}")
        text.append(" " + " ".join(told) + " \n")
    return "".join(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("wikitext")
    for seed, part in enumerate(("train", "valid", "test")):
        with zipfile.ZipFile(made / f"wiki.{part}.tokens.zip", "w") as held:
            held.writestr(f"wiki.{part}.tokens", lines(120 if part == "train" else 40, seed) + " \n w1 rare \n")
    return made


@pytest.fixture(scope="module")
def text(folder):
    return texts.load(folder, 10)


def test_words_are_read_by_how_common_they_are(folder, text, tmp_path):
    assert set(text.words) == {*(f"w{i}" for i in range(8)), "<eos>", "<unk>"}
    assert len(text.test) == 40 * 10 + 1 + 3  # an empty line is its end alone
    assert [text.words[i] for i in text.test[-4:]] == ["<eos>", "w1", "<unk>", "<eos>"]
    assert text.unknown(text.test) == pytest.approx(1 / 404)
    counts = torch.bincount(text.train, minlength=10)
    assert (counts[:-1] >= counts[1:]).all() or text.words[-1] == "<unk>"
    few = texts.load(folder, 3)
    assert set(few.words) == {"<unk>", *text.words[:2]}
    assert few.unknown(few.train) > 0.5
    (tmp_path / "wiki.train.tokens").write_text(" a b \n")
    assert texts.read(tmp_path, "train") == ["a", "b", "<eos>"]
    with pytest.raises(SystemExit, match=r"wiki.valid.tokens.* --wikitext"):
        texts.read(tmp_path, "valid")


def test_every_token_but_the_first_is_asked_for_once():
    pieces = texts.windows(torch.arange(20), 6)
    assert pieces[:, 1:].flatten().tolist() == list(range(1, 19))
    assert torch.equal(pieces[:, :-1] + 1, pieces[:, 1:])
    one, two = (texts.batches(torch.arange(31), 6, 2, torch.Generator().manual_seed(4)) for _ in range(2))
    drawn = [next(one) for _ in range(4)]
    first, second = (torch.cat(drawn[i : i + 2])[:, 0].tolist() for i in (0, 2))
    assert len(set(first)) == len(set(second)) == 4  # of five windows, a pass being two batches of two
    assert first != second
    assert all(torch.equal(a, next(two)) for a in drawn)
    with pytest.raises(ValueError, match="5 windows of 6, fewer than a batch of 9"):
        next(texts.batches(torch.arange(31), 6, 9, torch.Generator()))


@torch.no_grad()
def test_perplexity_is_that_of_the_probabilities_one_by_one(text):
    net = nets.Net(SETTINGS, METHODS["rigl"], 0)
    tokens, log = text.test[:25], []
    for start in range(0, 24, 8):
        for end in range(start, start + 8):
            told = net(tokens[None, start : end + 1])[0, -1].log_softmax(-1)
            log.append(float(told[tokens[end + 1]]))
    assert nets.perplexity(net, tokens, 8) == pytest.approx(math.exp(-sum(log) / 24), rel=1e-5)


@pytest.mark.parametrize("name", list(METHODS))
def test_models_learn_at_the_density_asked_for(name, text):
    method, calls = METHODS[name], []
    net, how = nets.train(method, SETTINGS, 0, 0.02, text, lambda: calls.append(1))
    assert len(calls) == SETTINGS.steps
    assert how["validation"] < 0.75 * nets.perplexity(nets.Net(SETTINGS, method, 0), text.validation[:161], 8)
    assert how["validation"] == pytest.approx(nets.perplexity(net, text.validation[:161], 8))
    assert how["density"] == pytest.approx(method.density, rel=0.1)
    assert (how["turnover"] > 0) == (name not in ("dense", "static"))
    eligible = [point for point in how["curve"] if point["weights"] <= 1.05 * nets.wanted_weights(SETTINGS, method)]
    assert how["step"] in [point["step"] for point in eligible]
    if name == "pruned":
        assert how["curve"][0]["weights"] > how["weights"]
    again, _ = nets.train(method, SETTINGS, 0, 0.02, text, lambda: None)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    same = nets.restored(SETTINGS, method, 0, net.state_dict())
    assert torch.equal(same(text.test[None, :8]), net(text.test[None, :8]))


def test_looks_add_up_the_gradients_of_the_steps_before_a_turn(text):
    """Without a change of the weights the sum of two looks is that of both batches."""
    method, chance, held = nets.Method(0.3, "rigl", looks=2), torch.Generator(), {}
    net = nets.Net(SETTINGS, method, 0)
    still = torch.optim.SGD(net.parameters(), lr=0.0)
    before = {name: layer.mask.dense() for name, layer in net.sparse_layers().items()}
    expected = {}
    for name, layer in net.sparse_layers().items():
        with nets.watching(layer) as seen:
            for step in (2, 3):
                batch = text.train[40 * step : 40 * step + 9].unsqueeze(0)
                torch.nn.functional.cross_entropy(net(batch[:, :-1]).mT, batch[:, 1:]).backward()
        expected[name] = seen.gradient()
    turnovers = []
    for step in range(4):
        batch = text.train[40 * step : 40 * step + 9].unsqueeze(0)
        turnovers.append(nets._step(net, still, batch, method, SETTINGS, step, chance, held))
        assert bool(held) == (step == 2)
    assert turnovers[:3] == [0.0] * 3
    assert turnovers[3] > 0.2
    for name, layer in net.sparse_layers().items():
        grown = layer.mask.dense() & ~before[name]
        size = expected[name].abs().masked_fill(before[name], -1.0)
        free = ~before[name] & ~grown
        assert size[grown].min() >= (1.0 - 1e-4) * size[free].max(), name


def test_rows_that_have_as_many_weights_as_they_say():
    settings = nets.Settings(50, 1)
    full = 2 * (4 * 160**2 + 8 * 160**2)
    weights = {name: nets.Net(settings, method, 0).weights() for name, method in bench.METHODS.items()}
    assert weights["dense"] == weights["dense-winners"] == full
    assert weights["small"] == full // 10
    for name in ("static", "set", "rigl", "rigl-calm", "static-winners", "wider"):
        assert weights[name] == full // 10, name
    assert weights["by-size"] == pytest.approx(full / 10, rel=0.03)


def test_a_run_writes_its_figures_and_goes_on(folder, tmp_path, capsys):
    given = [
        "--wikitext", str(folder), "--words", "10", "--steps", "6", "--width", "80", "--batch", "1", "--every", "2",
        "--rates", "dense=0.01", "rigl=0.01,0.02", "--seeds", "2", "--again", "dense", "rigl", "--methods", "wider",
        "--rounds", "2", "--quiet", "--runs", str(tmp_path / "runs"), "--output", str(tmp_path / "found.json"),
    ]  # fmt: skip
    bench.main(given)
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    found = json.loads((tmp_path / "found.json").read_text())
    assert (tmp_path / "found.png").stat().st_size > 10_000
    assert set(said["percent_above_dense"]) == {"rigl", "wider"}
    assert found["methods"]["dense"]["above_dense"]["ratio"] == 0.0
    assert [len(found["rows"][name]) for name in ("dense", "rigl", "wider")] == [2, 2, 1]
    assert len(found["rates"]["rigl"]) == 2
    chosen = min(found["rates"]["rigl"], key=lambda rate: found["rates"]["rigl"][rate])
    assert f"{found['methods']['rigl']['rate']:g}" == f"{found['methods']['wider']['rate']:g}" == chosen
    ratio = [
        row["test"] / other["test"] for row, other in zip(found["rows"]["rigl"], found["rows"]["dense"], strict=True)
    ]
    assert found["methods"]["rigl"]["above_dense"]["ratio"] == pytest.approx(math.sqrt(ratio[0] * ratio[1]) - 1.0)
    cost = found["forward_of_one_window"]
    projections = 12 * 80**2 * 2 * 64
    assert cost["dense"]["of"]["dense"] == projections
    assert sum(cost["rigl, existing"]["of"].values()) < 0.3 * projections
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").rglob("*.pt")}
    bench.main(given)
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").rglob("*.pt")} == before
    assert json.loads((tmp_path / "found.json").read_text())["rows"] == found["rows"]
