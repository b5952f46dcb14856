"""Scorers of plain text: exact match, token F1, number, regular expression.

They do not know labels, JSON or models. Each takes the best score over an item's targets.
"""

import math
import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rag_adapt.core.types import Item, Score

MAX_PATTERN: Final = 1000
"""Characters of a regular expression; a longer one is refused."""
MAX_OUTPUT: Final = 20_000
"""Characters of an output that a regular expression is tried on."""

_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)
_NUMBER: Final = re.compile(
    r"(?:(?<![\w.)\]])[-+\u2212]|(?<![\w.]))"  # a sign, unless it is a hyphen; not inside a word
    r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+|(?=\.\d))(?:\.\d+)?(?:[eE][-+]?\d+)?",
    re.ASCII,
)


def normalised(text: str) -> str:
    """Lower case, without punctuation and articles, single spaces.

    The normalisation of SQuAD's evaluation script (Rajpurkar et al. 2016). A text that would
    vanish (`"@"`, `"the"`) is kept as it is, spaces apart, so that it equals only itself.
    """
    lowered = text.lower().translate(_PUNCTUATION)
    kept = " ".join(_ARTICLES.sub(" ", lowered).split())
    return kept or " ".join(text.split())


def token_f1(output: str, target: str) -> float:
    """Harmonic mean of token precision and recall after `normalised` (SQuAD)."""
    said, wanted = normalised(output).split(), normalised(target).split()
    shared = sum((Counter(said) & Counter(wanted)).values())
    return 2 * shared / (len(said) + len(wanted)) if shared else 0.0


def last_number(text: str) -> float | None:
    """The last number of a text, units ignored: `"3 + 4 = 7 kg"` gives 7.

    Thousands separators are commas, the decimal sign is a point; digits inside words (`B2`) and
    the second part of a range's hyphen are not signs. None where there is no finite number.
    """
    found = [match.group() for match in _NUMBER.finditer(text)]
    for literal in reversed(found):
        value = float(literal.replace(",", "").replace("\u2212", "-"))
        if math.isfinite(value):
            return value
    return None


@dataclass(frozen=True, kw_only=True)
class Exact:
    """1 where the normalised output equals a normalised target, else 0."""

    def score(self, output: str, item: Item) -> Score:
        said = normalised(output)
        hit = next((target for target in item.targets if normalised(target) == said), None)
        if hit is not None:
            return Score(value=1.0, extracted=said, explanation=f"equals target {hit!r}")
        return Score(value=0.0, extracted=said, explanation=_differs(item))


@dataclass(frozen=True, kw_only=True)
class F1:
    """Token F1, the best over the targets."""

    def score(self, output: str, item: Item) -> Score:
        best = max(item.targets, key=lambda target: token_f1(output, target))
        value = token_f1(output, best)
        return Score(
            value=value,
            extracted=normalised(output),
            explanation=f"token F1 {value:.3f} against target {best!r}",
        )


@dataclass(frozen=True, kw_only=True)
class Number:
    """1 where the output's last number equals a target's, within a relative tolerance."""

    tolerance: float = 1e-6
    """Largest difference, relative to the larger magnitude."""

    def score(self, output: str, item: Item) -> Score:
        wanted = [value for t in item.targets if (value := last_number(t)) is not None]
        if not wanted:
            return Score(
                value=None, extracted=None, explanation=f"no target is a number: {item.targets}"
            )
        said = last_number(output)
        if said is None:
            return Score(value=0.0, extracted=None, explanation="the output has no number")
        hit = any(math.isclose(said, w, rel_tol=self.tolerance, abs_tol=1e-12) for w in wanted)
        verb = "equals" if hit else "differs from"
        return Score(
            value=float(hit), extracted=f"{said:.15g}", explanation=f"{verb} target {wanted}"
        )


@dataclass(frozen=True, kw_only=True)
class Regex:
    """1 where a target, read as a pattern, matches the whole stripped output.

    The syntax is that of the `regex` package, whose matching can be given a time limit: a
    pattern that backtracks without end makes the answer unscored, it does not hang the run.
    """

    seconds: float = 1.0
    """A match that takes longer is given up."""

    def score(self, output: str, item: Item) -> Score:
        said = output.strip()
        if len(said) > MAX_OUTPUT:
            why = f"the output has {len(said)} characters, patterns are tried on {MAX_OUTPUT}"
            return Score(value=0.0, extracted=None, explanation=why)
        faults = [fault for t in item.targets if (fault := fault_of_pattern(t)) is not None]
        if faults:
            return Score(value=None, extracted=said, explanation="; ".join(faults))
        return _matched(said, item.targets, self.seconds)


def fault_of_pattern(pattern: str) -> str | None:
    """Why a target is not a usable pattern; None where it is one."""
    import regex

    if len(pattern) > MAX_PATTERN:
        return f"the pattern has {len(pattern)} characters, {MAX_PATTERN} are allowed"
    try:
        regex.compile(pattern)
    except (regex.error, RecursionError) as error:
        return f"the target {pattern!r} is not a pattern: {error}"
    return None


def _matched(said: str, patterns: Sequence[str], seconds: float) -> Score:
    import regex

    for pattern in patterns:
        try:
            hit = regex.fullmatch(pattern, said, timeout=seconds)
        except TimeoutError:
            why = f"pattern {pattern!r} took longer than {seconds} s"
            return Score(value=None, extracted=said, explanation=why)
        if hit is not None:
            return Score(value=1.0, extracted=said, explanation=f"matches {pattern!r}")
    return Score(value=0.0, extracted=said, explanation=f"matches none of {list(patterns)}")


def _differs(item: Item) -> str:
    return f"differs from {', '.join(map(repr, item.targets))}"
