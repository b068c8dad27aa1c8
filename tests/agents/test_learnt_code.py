"""The code of a column, learnt from a first look, goes with its maps from learning to recognition."""

from dataclasses import replace

import pytest
import torch

from cortical.agents.brain import build_region
from cortical.agents.learning import Learner, encoder_of, first_look, learn_objects
from cortical.agents.records import RunError, RunFolder, learning_settings
from cortical.agents.rollout import make_agent, play
from cortical.agents.story import episode_table
from cortical.columns.layers.code_learning import LearningRates
from cortical.columns.layers.learnt_encoder import LearntEncoder, same
from cortical.configs.load import ConfigError, from_dict, load
from cortical.configs.schema import DecisionConfig, Experiment, LearnConfig, WorldConfig

NAMES = ("box", "torus")
QUICK = LearningRates(steps=3, batch=64, competing=500)


def experiment(code="learnt", features="both") -> Experiment:
    base = load()
    return replace(
        base, world=WorldConfig(objects="solids"), learn=LearnConfig(sensations_per_view=75),
        column=replace(base.column, features=features, code=code), decision=DecisionConfig(max_sensations=4),
    )  # fmt: skip


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A run folder with an encoder and two maps, and the maps as they were learnt."""
    folder = RunFolder(tmp_path_factory.mktemp("known") / "run", experiment(), "learn")
    folder.save_encoder(first_look(experiment(), NAMES, QUICK))
    return folder, learn_objects(experiment(), NAMES, folder, lambda name, readings: None)


def test_learnt_once_and_read_after_that(known):
    folder, maps = known
    told = []
    again = learn_objects(experiment(), NAMES, folder, lambda name, readings: told.append(readings))
    assert told == [0, 0]
    for name in NAMES:
        assert same(again[name].encoder, maps[name].encoder) and again[name].encoder is not None
        assert torch.equal(again[name].bits, maps[name].bits)
    assert same(encoder_of(experiment(), NAMES, folder), maps["box"].encoder)


def test_codes_are_the_learnt_ones(known, tmp_path):
    """The place and the colour of every node are as with the fixed code; its bits aren't."""
    _, maps = known
    fixed = learn_objects(
        experiment("fixed"), NAMES, RunFolder(tmp_path, experiment("fixed"), "learn"), lambda *word: None
    )
    assert fixed["box"].encoder is None
    assert not (tmp_path / "encoder.safetensors").exists()
    assert torch.equal(fixed["box"].sums, maps["box"].sums)
    assert not torch.equal(fixed["box"].bits, maps["box"].bits)


def test_maps_of_another_code_are_refused_before_anything_is_learnt(tmp_path):
    folder = RunFolder(tmp_path / "run", experiment("fixed"), "learn")
    learn_objects(experiment("fixed"), ("box",), folder, lambda *word: None)
    there = sorted(path.name for path in folder.path.rglob("*"))
    with pytest.raises(RunError, match="learnt with other settings"):
        learn_objects(experiment(), ("box",), RunFolder.for_maps(folder.path, experiment()), lambda *word: None)
    assert sorted(path.name for path in folder.path.rglob("*")) == there


def test_same_seed_same_bits():
    one, other = (first_look(experiment(), NAMES, QUICK) for _ in range(2))
    assert same(one, other)


@pytest.mark.parametrize("features", ["sdr", "both"])
def test_recognition_sees_by_it(known, features):
    _, maps = known
    agent = make_agent(experiment(features=features), build_region(experiment(features=features), maps))
    assert isinstance(agent.senses.encoder, LearntEncoder)
    assert same(agent.senses.encoder.code, maps["box"].encoder)
    column = agent.region.kinds[0]
    encoder = maps["box"].encoder
    assert encoder is not None
    assert (column.tolerance.code_slope, column.tolerance.code_offset) == tuple(encoder.evidence.tolist())
    assert column.tolerance.outlier_feature == (0.3 if features == "both" else 0.08)
    one, two = (play(agent, "box", seed=0) for _ in range(2))
    assert one.best_guess in NAMES and one.estimated_position == two.estimated_position
    agent.env.close()


def test_surface_columns_need_no_code(known):
    plain = experiment(features="surface")
    column = build_region(plain, known[1]).kinds[0]
    assert column.encoder is None and not column.coded
    assert "code" not in learning_settings(plain)


def test_maps_of_another_encoder_are_refused(known, tmp_path):
    _, maps = known
    with pytest.raises(ValueError, match=r'column\.code = "fixed", but .* learnt with column\.code = "learnt"'):
        build_region(experiment("fixed"), maps)
    strange = {**maps, "torus": replace(maps["torus"], encoder=None)}
    with pytest.raises(ValueError, match="the codes of 'torus' were made by another encoder"):
        build_region(experiment(), strange)
    with pytest.raises(ValueError, match=r'column.code = "learnt" without a learnt encoder'):
        Learner(experiment())


def test_folders_without_their_encoder_are_refused(known, tmp_path):
    folder, maps = known
    other = RunFolder(tmp_path / "run", experiment(), "learn")
    other.save_encoder(encoder := maps["box"].encoder)
    other.save_map("box", maps["box"], Learner(experiment(), encoder).schema)
    other.encoder_file.unlink()
    schema = Learner(experiment(), encoder).schema
    with pytest.raises(RunError, match=r"encoder\.safetensors is not there: copy the one that lay beside it"):
        other.load_map("box", schema)
    other.save_encoder(encoder._replace(mean=encoder.mean + 1.0))
    with pytest.raises(RunError, match=r"encoder\.safetensors holds another"):
        other.load_map("box", schema)
    with pytest.raises(RunError, match="code is 'learnt' there and None here"):
        RunFolder.for_maps(folder.path, experiment("fixed")).load_map("box", schema)


def test_unknown_kinds_of_code_are_refused():
    with pytest.raises(ConfigError, match=r"column.code = 'learned'.*did you mean 'learnt'.*sparse code"):
        from_dict({"column": {"code": "learned"}})


@pytest.mark.parametrize("features", ["both", "surface"])
def test_an_episode_says_what_its_codes_cost(known, features):
    """All weights of the two products, read once for each patch that was coded."""
    wanted, maps = experiment(features=features), known[1]
    record = play(make_agent(wanted, build_region(wanted, maps)), "box", seed=1)
    code = maps["box"].encoder
    work = (code.frequencies.numel() + code.mixing.numel()) * (features == "both")
    assert record.code_multiply_adds == record.sensations * work
    assert (record.code_joules > 0) == (features == "both")
    assert bool(episode_table([record]).caption) == (features == "both")
