"""What to expect of sparse codes before any is made: chances of false and missed matches, in closed form.

A detector keeps `samples` units of a stored code and fires when `threshold` of them are active. For a random code of
`active` of n units (S. Ahmad, J. Hawkins 2016, "How do neurons operate on sparse distributed representations?",
arXiv:1601.00720):

    P(false match) = sum_{b >= threshold} C(samples, b) C(n - samples, active - b) / C(n, active)

A unit survives noise with 1 - v, so the detector still fires with P(Binomial(samples, 1 - v) >= threshold). A union of
m codes has the share p = 1 - (1 - active / n)^m of units on, so a random code matches it falsely with
P(Binomial(active, p) >= threshold); p^active, if every unit must be in it.
"""

from dataclasses import dataclass
from math import comb

NOISE = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
SAFE, SURE = 1e-6, 0.9
"""A false match should be rarer, and a true one at 20 % noise likelier."""


def _check(n: int, active: int, samples: int, threshold: int) -> None:
    if not (1 <= active <= n and 1 <= samples <= n and 1 <= threshold <= samples):
        raise ValueError(
            f"needs 1 <= active <= n, 1 <= samples <= n and 1 <= threshold <= samples, but n is {n}, active {active}, "
            f"samples {samples}, threshold {threshold}"
        )


def false_match(n: int, active: int, samples: int, threshold: int) -> float:
    """Chance that a random code of `active` of n units shares `threshold` or more of `samples` stored units, exact.

    Raises ValueError for numbers that make no sense.
    """
    _check(n, active, samples, threshold)
    most = min(active, samples)
    hits = sum(comb(samples, b) * comb(n - samples, active - b) for b in range(threshold, most + 1))
    return hits / comb(n, active)


def at_least(trials: int, chance: float, threshold: int) -> float:
    """P(Binomial(trials, chance) >= threshold)."""
    return sum(comb(trials, b) * chance**b * (1.0 - chance) ** (trials - b) for b in range(threshold, trials + 1))


def union_density(n: int, active: int, stored: int) -> float:
    """Expected share of units on in the union of so many random codes."""
    return 1.0 - (1.0 - active / n) ** stored


def union_false_match(n: int, active: int, stored: int, threshold: int | None = None) -> float:
    """Chance that a random code matches the union of `stored` ones: `threshold` of its units in it, all by default.

    With the expected density of the union; exact for one stored code only in the limit of large n.
    Raises ValueError for numbers that make no sense.
    """
    threshold = active if threshold is None else threshold
    _check(n, active, active, threshold)
    return at_least(active, union_density(n, active, stored), threshold)


@dataclass(frozen=True)
class Diagnosis:
    """What a detector of n, active, samples and threshold can be expected to do.

    false_match : chance for one random code; survives : chance that it still fires, by share of units lost to noise
    stored_codes : unions of so many codes still match a random code less than once in 100 with the same share of units
    warnings : what is wrong, each with a remedy
    """

    false_match: float
    survives: dict[float, float]
    stored_codes: int
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        noise = ", ".join(f"{share:.0%}: {chance:.3g}" for share, chance in self.survives.items())
        lines = (
            f"a random code matches with a chance of {self.false_match:.3g}",
            f"a stored one still matches with noise of {noise}",
            f"a union of up to {self.stored_codes} codes stays selective",
            *(f"warning: {line}" for line in self.warnings),
        )
        return "\n".join(lines)


def diagnose(n: int, active: int, samples: int, threshold: int) -> Diagnosis:
    """What to expect of codes of `active` of n units and detectors of `samples` units that fire at `threshold`.

    Raises ValueError for numbers that make no sense.
    """
    wrong = false_match(n, active, samples, threshold)
    survives = {share: at_least(samples, 1.0 - share, threshold) for share in NOISE}
    share = -(-threshold * active // samples)
    stored = _largest_union(n, active, min(share, active))
    return Diagnosis(wrong, survives, stored, tuple(_warnings(n, active, samples, threshold, wrong, survives[0.2])))


def _largest_union(n: int, active: int, threshold: int) -> int:
    stored = 0
    while stored < 10 * n and union_false_match(n, active, stored + 1, threshold) < 0.01:
        stored += 1
    return stored


def _warnings(n: int, active: int, samples: int, threshold: int, wrong: float, survives: float) -> list[str]:
    found = []
    if samples > active:
        found.append(f"{samples} samples of a code with {active} active units: a detector can't be full; sample fewer")
    if threshold > min(samples, active):
        found.append(f"threshold {threshold} is never reached with {active} active units; lower it")
    if wrong > SAFE:
        found.append(f"false matches in {wrong:.2g} of cases: raise the threshold above {threshold}, or n above {n}")
    if survives < SURE:
        found.append(f"20 % noise lets only {survives:.2g} of the matches through: lower the threshold, or sample more")
    if active > n / 4:
        found.append(f"{active} of {n} units active is not sparse: unions fill up at once")
    return found
