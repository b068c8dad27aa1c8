"""A learnt code tells places apart better than the fixed one, is the same twice, and is kept whole."""

import pytest
import torch

from cortical.columns.layers import PatchEncoder, to_dense
from cortical.columns.layers.code_learning import LearningRates, Looks, learn
from cortical.columns.layers.encoder import EncoderConfig
from cortical.columns.layers.learnt_encoder import LearntCode, LearntEncoder, encode, same, shapes
from cortical.columns.storage import MapFileError, fingerprint, load_encoder, load_maps, save_encoder

CONFIG = EncoderConfig(units=256, active=12, phases=64)
PATCHES = PatchEncoder(CONFIG)
RATES = LearningRates(steps=200, batch=128)
PLACES, LOOKS, CLEAR = 200, 8, 4
FEATURES = len(PATCHES.frequencies)


def looks(seed: int) -> Looks:
    """Of places that differ in curvature and colour, with strong noise on hue and on all that the rings saw."""
    random = torch.Generator().manual_seed(seed)
    truth = torch.randn(PLACES, FEATURES, generator=torch.Generator().manual_seed(0))
    spread = torch.cat([torch.tensor([1.0, 1.0, 0.3, 0.3, 0.5, 0.5]), torch.full((FEATURES - 6,), 0.003)])
    noise = torch.cat([torch.tensor([0.1, 0.1, 0.05, 0.05, 3.0, 3.0]), torch.full((FEATURES - 6,), 0.01)])
    place = torch.arange(PLACES).repeat_interleave(LOOKS)
    descriptor = truth[place] * spread
    descriptor = descriptor + noise * torch.randn(len(place), FEATURES, generator=random)
    return Looks(descriptor, place, torch.arange(len(place)) % LOOKS < CLEAR)


@pytest.fixture(scope="module")
def code() -> LearntCode:
    return learn(looks(1), torch.Generator().manual_seed(0), PATCHES, RATES)


def told_apart(code: LearntCode) -> float:
    """How often two new looks at one place share more units than looks at two places."""
    seen = looks(2)
    bits = to_dense(encode(code, seen.descriptor, CONFIG.active), CONFIG.units).float().view(PLACES, LOOKS, -1)
    one, other = bits[:, 0], bits[:, 1]
    return float(((one * other).sum(1) > (one * other.roll(1, 0)).sum(1)).float().mean())


def fixed() -> LearntCode:
    zero = torch.zeros(CONFIG.phases)
    return LearntCode(PATCHES.frequencies, PATCHES.offsets, zero, PATCHES.mixing, torch.zeros(2))


def test_learning_tells_new_looks_apart_better(code):
    before, after = told_apart(fixed()), told_apart(code)
    assert after > before + 0.15
    assert after > 0.65


def test_what_noise_drowns_is_heeded_less(code):
    """Hue says nothing here: its frequencies shrink against those of curvature."""

    def share(frequencies):
        size = frequencies.square().mean(1).sqrt()
        return float(size[4:6].mean() / size[:2].mean())

    assert share(code.frequencies) < 0.9 * share(PATCHES.frequencies)


def test_same_seed_same_bits_and_nothing_else_changes(code):
    seen = looks(1)
    again = learn(seen, torch.Generator().manual_seed(0), PATCHES, RATES)
    assert same(code, again) and fingerprint(code) == fingerprint(again)
    other = learn(seen, torch.Generator().manual_seed(1), PATCHES, RATES)
    assert not same(code, other) and fingerprint(code) != fingerprint(other)
    assert same(None, None) and not same(code, None)
    assert torch.equal(seen.descriptor, looks(1).descriptor)
    assert torch.equal(PATCHES.frequencies, PatchEncoder(CONFIG).frequencies)


def test_weights_stay_where_they_are_and_as_long(code):
    assert torch.equal(code.mixing != 0, PATCHES.mixing != 0)
    torch.testing.assert_close(code.mixing.norm(dim=0), PATCHES.mixing.norm(dim=0))
    assert not torch.allclose(code.mixing, PATCHES.mixing)


def test_no_unit_takes_all(code):
    bits = encode(code, looks(2).descriptor, CONFIG.active)
    assert bits.shape == (PLACES * LOOKS, CONFIG.active)
    assert bool((bits.diff(dim=1) > 0).all()), "ascending"
    wins, before = (
        torch.bincount(encode(c, looks(2).descriptor, CONFIG.active).flatten().long(), minlength=CONFIG.units)
        for c in (code, fixed())
    )
    assert int((wins > 0).sum()) > int((before > 0).sum())
    assert int(wins.max()) < int(before.max())


def test_overlap_is_worth_more_the_larger_it_is(code):
    slope, offset = code.evidence.tolist()
    assert slope > 1.0
    unlike, alike = (slope * torch.tensor([0.1, 1.1]).log() + offset).tolist()
    assert unlike < -1.0 < 1.0 < alike


def test_places_seen_once_teach_nothing():
    seen = looks(1)
    alone = seen._replace(place=torch.arange(len(seen.place)))
    with pytest.raises(ValueError, match="no two of 1600 looks are at one place"):
        learn(alone, torch.Generator().manual_seed(0), PATCHES, RATES)


def test_another_size_is_refused_with_both_shapes(code):
    wanted = r"frequencies \(51, 64\), not \(51, 256\).*mixing \(64, 256\), not \(256, 1024\)"
    with pytest.raises(ValueError, match=wanted):
        LearntEncoder(code)
    assert shapes(PATCHES)["mixing"] == (64, 256)
    assert LearntEncoder(code, CONFIG).patches.config.active == CONFIG.active


def test_files_keep_every_bit(code, tmp_path):
    file = tmp_path / "encoder.safetensors"
    assert save_encoder(file, code) == fingerprint(code)
    assert same(load_encoder(file), code)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_bad_files_are_refused(code, tmp_path):
    file = tmp_path / "encoder.safetensors"
    with pytest.raises(MapFileError, match="no map file"):
        load_encoder(file)
    save_encoder(file, code)
    with pytest.raises(MapFileError, match="not a map file"):
        load_maps(file)
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    with pytest.raises(MapFileError, match="cut short"):
        load_encoder(file)
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(MapFileError, match="wrong checksum"):
        load_encoder(file)
    file.write_bytes(b"12345678" * 20)
    with pytest.raises(MapFileError, match="not a learnt encoder"):
        load_encoder(file)
