"""Where the columns of a region speak, if they do so by events (`events`): at each place what the others know takes the
place of the true votes. In a region without events nothing here changes anything."""

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor

from . import events
from .belief import Belief
from .events import Events, What
from .evidence.hypotheses import Hypotheses
from .messages import Movement, Vote
from .sent import Sent

if TYPE_CHECKING:
    from .region import Region


def begin(region: "Region", groups: int) -> Sent | None:
    """Nothing was sent yet; None: votes are no events."""
    columns = sum(kind.columns for kind in region.kinds)
    if region.events is None or columns == 1:
        return None
    return region.events.begin(groups, columns, len(region.objects), region.kinds[0].device)


def sensed(region: "Region", belief: Belief, movement: Movement | None) -> Belief:
    """After a sensation: the columns show where they met something, and how much they have sensed."""
    if belief.sent is None:
        return belief
    sent = belief.sent.moved(movement.object_motion if movement else None)
    met, unknown = region.met(belief), region.unknown(belief)
    sent = events.introduced(_rule(region), sent, met, unknown, belief.steps)
    return replace(belief, sent=events.announced(sent, met.shape[1]))


def newest(region: "Region", belief: Belief, ballot: Hypotheses, gained: Tensor) -> tuple[Belief, Tensor]:
    """What the newest sensation says of the ballot, (g, m, b) nats."""
    if belief.sent is None:
        return belief, gained
    sent, gained = events.gained(_rule(region), belief.sent, gained, ballot, belief.steps)
    return replace(belief, sent=sent), gained


def seeds(region: "Region", belief: Belief, suggested: Hypotheses, said: Tensor) -> tuple[Belief, Tensor]:
    """What the columns say of new poses, (g, m, n) nats, which then stand last on the ballot."""
    if belief.sent is None:
        return belief, said
    sent = events.announced(belief.sent, 0, len(suggested))
    sent, said = events.answered(_rule(region), sent, said, suggested, belief.steps)
    return replace(belief, sent=sent), said


def votes(region: "Region", belief: Belief, ballot: Hypotheses, truth: Vote, what: What) -> tuple[Belief, Vote]:
    """Votes on the ballot, as the others know them."""
    if belief.sent is None:
        return belief, truth
    sent, known = events.told(_rule(region), belief.sent, truth, ballot, what, belief.steps)
    return replace(belief, sent=sent), known


def keep(belief: Belief, order: Tensor) -> Belief:
    """The ballot's rows are now those of `order`, (g, k)."""
    return belief if belief.sent is None else replace(belief, sent=belief.sent.take(order))


def spent(belief: Belief, after: Belief) -> Belief:
    """The belief, with the traffic of what came after it on another ballot."""
    if belief.sent is None or after.sent is None:
        return belief
    return replace(belief, sent=replace(belief.sent, traffic=after.sent.traffic))


def weights(region: "Region", belief: Belief) -> tuple[Tensor, Tensor]:
    """Readings that met something, (g, m), and what they would be worth if they were of an object that isn't known,
    (g, m, objects) nats, of all that the others know of."""
    if belief.sent is None:
        return region.met(belief), region.unknown(belief)
    known = events.arrived(_rule(region), belief.sent)
    return known.met, known.unknown


def aged(belief: Belief) -> Belief:
    """At the end of a sensation."""
    return belief if belief.sent is None else replace(belief, sent=events.aged(belief.sent))


def _rule(region: "Region") -> Events:
    if region.events is None:
        raise ValueError("this belief is of a region whose votes are events: give it to that one, or begin anew")
    return region.events
