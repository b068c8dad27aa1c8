"""Votes as events: a column says only what the others can't work out, late, seldom or in vain as its links are.

The others know what a column told them (`sent.Sent`), and carry it along when poses are refined. A column sends the
entry of a pose when its true vote is more than

    eps (1 + lag)

nats from that, lag being how many nats the pose is behind the leader by what all know: an entry matters the less the
further behind its pose is (send-on-delta: Miskowicz, Sensors 6, 2006, with a threshold of what is at stake). In nats,
the log-evidence L counts as it is, a slope s and an information H by what they change within one sd of the pose,
|sd s| and |sd H sd| / 2. What is alike for most poses is sent once for all (`_common`). Of poses that are new on
the ballot nothing is known: columns answer in turn, each knows what those before it said, and the lag of a pose is that
of their sum with its own vote; a pose that is not answered has the offset of that answer, the column's usual vote.
eps = 0 sends all that changed at all, and what the others know is the true vote, bit for bit.

Columns may tick at different rates, and between ticks they say nothing new; a message may get lost, then the others
keep what they knew (the column sees that in what they agree on, and says it at its next chance); or it is some
sensations late, through a ring of what was told (`Sent.past`). Readings' places and suggested poses always arrive.
Not counted: what a watchful region asks of the best pose alone (`surprise`), and what a robust one judges its columns
by. Counted are broadcasts, each heard by all others: what a sparser graph's rounds of exchange add is not in it.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from .evidence.hypotheses import Hypotheses
from .messages import Vote
from .sent import Known, Sent

HEADER = 8  # bytes of a message: who speaks, of which exchange, how many entries
READING = 44  # bytes of a reading that others need: place, normal, direction; of itself its telling number and flags
SEED = 5  # bytes that announce a pose: the node of the shared map that a reading is laid on, and the turn
PLACE = 2  # bytes of a ballot's row; or a bit for each row, if that is less
NUMBERS = {"log_evidence": 1, "slope": 6, "information": 21}
What = Literal["refining", "deciding"]
PARTS: dict[What, tuple[str, ...]] = {
    "refining": ("slope", "information"),
    "deciding": ("log_evidence", "information"),
}
"""What the others read of an exchange: of a refinement where to go, at its end how good it is."""


@dataclass(frozen=True, slots=True)
class Events:
    """How the columns of a region speak. Holds no state.

    eps : nats, see above
    loss : probability that a message is lost
    delay : sensations by which messages may be late; each column has its own delay, 0 to this, the first none
    slowest : each column has its own period, 1 to this: sensations from tick to tick
    short : numbers are sent in 16 bits (bfloat16) instead of 32
    seed : of what is drawn, with the sensed place: columns' delays and periods, and what is lost
    """

    eps: float = 0.0
    loss: float = 0.0
    delay: int = 0
    slowest: int = 1
    short: bool = False
    seed: int = 0

    def begin(self, groups: int, columns: int, objects: int, device: str | torch.device = "cpu") -> Sent:
        """Nothing was sent yet."""
        return Sent.none(groups, columns, objects, self.delay, device)

    @property
    def width(self) -> int:
        """Bytes of a number."""
        return 2 if self.short else 4

    def ticks(self, columns: int, step: int) -> Tensor:
        """(m,) bool, which columns speak at a sensation, counted from 1."""
        draw = torch.Generator().manual_seed(self.seed)
        period = torch.randint(1, self.slowest + 1, (columns,), generator=draw)
        phase = torch.randint(0, 1 << 20, (columns,), generator=draw)
        return (step + phase) % period == 0

    def late(self, columns: int) -> Tensor:
        """(m,) int64, by how many sensations each column is late; the first, where the answer is read, is not."""
        late = torch.randint(0, self.delay + 1, (columns,), generator=torch.Generator().manual_seed(self.seed + 1))
        return late * (torch.arange(columns) > 0)


def announced(sent: Sent, columns: int, seeds: int = 0) -> Sent:
    """With what is sent by whatever rule: a reading of so many columns, and so many poses suggested."""
    fixed = columns * (HEADER + READING) + seeds * SEED
    cost = tuple(torch.full_like(sent.traffic.messages, x) for x in (columns, seeds, fixed))
    return replace(sent, traffic=sent.traffic.plus(cost, cost))


def gained(events: Events, sent: Sent, truth: Tensor, ballot: Hypotheses, step: int) -> tuple[Sent, Tensor]:
    """After the columns told what the newest sensation says of the ballot, (g, m, b) nats: what the others know of
    that."""
    sent = sent.carried(ballot)
    told, sent = _say(events, sent, "log_evidence", truth, torch.zeros_like(truth), _limit(events, ballot), step)
    vote = sent.told.vote
    sent = replace(sent, told=replace(sent.told, vote=replace(vote, log_evidence=vote.log_evidence + told)))
    if events.delay == 0:
        return sent, told
    late = events.late(truth.shape[1]).to(truth.device)
    return sent, torch.where(late[:, None] > 0, 0.0, told)  # of the late that comes with their votes


def answered(events: Events, sent: Sent, truth: Tensor, seeds: Hypotheses, step: int) -> tuple[Sent, Tensor]:
    """After the columns told in turn what they say of new poses, (g, m, n) nats: what the others know of that."""
    usual = truth.median(2, keepdim=True).values.expand_as(truth)
    said, limits = torch.zeros_like(truth[:, 0]), []
    for own, offset in zip(truth.unbind(1), usual.unbind(1), strict=True):
        known = said + own
        limits.append(events.eps * (1 + known.amax(1, keepdim=True) - known))
        said = said + torch.where((own - offset).abs() > limits[-1], own, offset)
    told, sent = _say(events, sent, "log_evidence", truth, torch.zeros_like(truth), torch.stack(limits, 1), step)
    sent = sent.join(seeds, told)
    return sent, told if events.delay == 0 else arrived(events, sent).vote.log_evidence[:, :, -len(seeds) :]


def told(events: Events, sent: Sent, truth: Vote, ballot: Hypotheses, what: What, step: int) -> tuple[Sent, Vote]:
    """After the columns told what they must of their votes on a ballot: the votes that the others know of."""
    sent = sent.carried(ballot)
    vote, limit = sent.told.vote, _limit(events, ballot)
    for name in PARTS[what]:
        weight = None if name == "log_evidence" else _reach(ballot)
        part, sent = _say(events, sent, name, getattr(truth, name), getattr(vote, name), limit, step, weight)
        vote = replace(vote, **{name: part})
    sent = replace(sent, told=replace(sent.told, vote=vote))
    return sent, arrived(events, sent).vote


def arrived(events: Events, sent: Sent) -> Known:
    """What the others know by now: of each column what it told as long ago as it is late."""
    if events.delay == 0:
        return sent.told
    columns = sent.told.met.shape[1]
    late, stages = events.late(columns), (*sent.past, sent.told)

    def mixed(parts: list[Tensor]) -> Tensor:
        return torch.stack([parts[-1 - int(late[j])][:, j] for j in range(columns)], 1)

    votes = [k.vote for k in stages]
    each = ([getattr(v, name) for v in votes] for name in NUMBERS)
    return Known(Vote(*map(mixed, each)), mixed([k.met for k in stages]), mixed([k.unknown for k in stages]))


def introduced(events: Events, sent: Sent, met: Tensor, unknown: Tensor, step: int) -> Sent:
    """After the columns that tick told how much they have sensed: readings (g, m) and nats (g, m, objects)."""
    speaks = events.ticks(met.shape[1], step).to(met.device)[None]
    told = replace(
        sent.told,
        met=torch.where(speaks, met, sent.told.met),
        unknown=torch.where(speaks[..., None], unknown, sent.told.unknown),
    )
    return replace(sent, told=told)


def aged(sent: Sent) -> Sent:
    """A sensation later: what was told moves one place in the ring."""
    return replace(sent, past=(*sent.past, sent.told)[1:]) if sent.past else sent


def _limit(events: Events, ballot: Hypotheses) -> Tensor:
    """(g, 1, b) nats by which a vote may be unknown: without limit where a pose is out of the running."""
    behind = ballot.log_evidence.amax(1, keepdim=True) - ballot.log_evidence
    alive = ballot.log_evidence > -math.inf
    return (events.eps * torch.where(alive, 1 + behind, 1e9))[:, None]


def _reach(ballot: Hypotheses) -> Tensor:
    """(g, 1, b, 6) the sd of each pose: turns (radians) and shifts (metres)."""
    return torch.stack([ballot.turn_sd] * 3 + [ballot.shift_sd] * 3, -1)[:, None]


def _say(
    events: Events, sent: Sent, name: str, truth: Tensor, known: Tensor, limit: Tensor, step: int,
    reach: Tensor | None = None,
) -> tuple[Tensor, Sent]:  # fmt: skip
    """One message of each column about one part of its vote: what the others hold after it, and the cost."""
    before = known
    known, common = _common(events, truth, known, limit, reach)
    wanted = truth != known if reach is None else (truth != known).flatten(3).any(-1)
    if events.eps > 0:
        wanted = wanted & (_weight(truth - known, reach) > limit)
    speaks = events.ticks(truth.shape[1], step).to(truth.device)[None] & (wanted.any(2) | common)
    heard = speaks & ~_lost(events, sent, truth.shape[:2])
    exact = known + (truth - known).bfloat16().to(truth) if events.short else truth
    sends = wanted.view(*wanted.shape, *[1] * (truth.ndim - 3))
    after = torch.where(_like(heard, known), torch.where(sends, exact, known), before)
    return after, _counted(events, sent, name, wanted & speaks[..., None], speaks, common)


def _common(events: Events, truth: Tensor, known: Tensor, limit: Tensor, reach: Tensor | None) -> tuple[Tensor, Tensor]:
    """What is known once each column told what is alike for most poses, and whether it did, (g, m) bool: how its
    log-evidence is usually off; for poses of which it never told its information, that of the leading pose, where this
    leaves less to be sent. One reading, seen from poses that fit it, informs of them all alike. (Not added to what was
    told before: sums of differences need not be positive.)"""
    silent = torch.zeros(truth.shape[:2], dtype=torch.bool, device=truth.device)
    if events.eps == 0 or truth.shape[2] == 0 or truth.ndim == 4:
        return known, silent
    if reach is None:
        usual = (truth - known).median(2, keepdim=True).values
        off = usual.abs() > events.eps
        return torch.where(off, known + usual, known), off[..., 0]
    leader = limit.argmin(2).view(-1, 1, 1, 1, 1).expand(-1, truth.shape[1], 1, 6, 6)
    raised = torch.where(known.flatten(3).any(-1)[..., None, None], known, truth.gather(2, leader))
    left, alone = ((_weight(truth - x, reach) > limit).sum(2) for x in (raised, known))
    fewer = left + 1 < alone
    return torch.where(fewer[..., None, None, None], raised, known), fewer


def _like(flag: Tensor, x: Tensor) -> Tensor:
    return flag.view(*flag.shape, *[1] * (x.ndim - 2))


def _weight(rest: Tensor, reach: Tensor | None) -> Tensor:
    """(g, m, b) nats that an error of an entry makes within one sd of its pose."""
    if reach is None:
        return rest.abs()
    if rest.ndim == 4:
        return (rest * reach).norm(dim=-1)
    return (rest * reach[..., :, None] * reach[..., None, :]).flatten(-2).norm(dim=-1) / 2


def _lost(events: Events, sent: Sent, shape: torch.Size) -> Tensor:
    """(g, m) bool, whose message gets lost: it follows from the seed, the exchange and the place that was sensed."""
    if events.loss == 0:
        return torch.zeros(shape, dtype=torch.bool, device=sent.at.pivot.device)
    lost = []
    for place in (sent.at.pivot.double().abs().sum(1) * 1e9).long().tolist():
        draw = torch.Generator().manual_seed((events.seed * 1_000_003 + sent.exchanges * 7919 + place) % (1 << 62))
        lost.append(torch.rand(shape[1:], generator=draw) < events.loss)
    return torch.stack(lost).to(sent.at.pivot.device)


def _counted(events: Events, sent: Sent, name: str, wanted: Tensor, speaks: Tensor, common: Tensor) -> Sent:
    """With the cost of a message of each column about one part of its vote."""
    size, (columns, rows) = NUMBERS[name] * events.width, wanted.shape[1:]
    entries = wanted.sum(2)
    place = torch.minimum(entries * PLACE, torch.full_like(entries, math.ceil(rows / 8)))
    place = torch.where(entries == rows, 0, place)  # all of them, in order
    length = (HEADER * speaks + entries * size + place + (common & speaks) * size).sum(1)
    full = columns * (HEADER + rows * NUMBERS[name] * 4)
    dense = tuple(torch.full_like(length, x) for x in (columns, columns * rows, full))
    traffic = sent.traffic.plus((speaks.sum(1), entries.sum(1), length), dense)
    return replace(sent, traffic=traffic, exchanges=sent.exchanges + 1)
