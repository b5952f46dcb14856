"""Links between units that share rare terms and names.

It does not know meanings: two words are one term where they are spelt alike.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from rag_adapt.retrieval.linking.units import MOST_TARGETS, Link, Unit, Units, beside

MOST_HOLDERS: Final = 12
"""Units that may hold a term; what more of them hold says little."""
FEWEST_SHARED: Final = 2
"""Terms that two units share, at least; a name of several words is enough alone."""
_WORD: Final = re.compile(r"[^\W_]{4,}")
_NAME: Final = re.compile(r"\b[A-Z][\w'’-]+(?: [A-Z][\w'’-]+)+")


def terms_of(text: str) -> frozenset[str]:
    """Words of four characters and more, small, and names of several capitalised words.

    >>> sorted(terms_of("Ask Ada Lovelace"))
    ['ada lovelace', 'ask ada lovelace', 'lovelace']
    """
    words = (match[0].lower() for match in _WORD.finditer(text))
    names = [match[0].lower() for match in _NAME.finditer(text)]
    # the first word of a sentence is capitalised, whether or not it belongs to the name
    return frozenset((*words, *names, *(shorter for n in names if " " in (shorter := _rest(n)))))


def term_links(units: Units) -> Iterator[Link]:
    """From each unit to those that share most, rare terms counting more."""
    terms = [terms_of(unit.text) for unit in units.units]
    holders = _holders(terms)
    total = len(terms)
    rarity = {term: math.log(1.0 + total / len(rows)) for term, rows in holders.items()}
    for row, unit in enumerate(units.units):
        shared: Counter[int] = Counter()
        score: dict[int, float] = {}
        own = 0.0
        for term in sorted(terms[row] & holders.keys()):
            own += rarity[term]
            for other in holders[term]:
                shared[other] += FEWEST_SHARED if " " in term else 1
                score[other] = score.get(other, 0.0) + rarity[term]
        best = _best(units, row, {at: s for at, s in score.items() if shared[at] >= FEWEST_SHARED})
        for other in best:
            target = units.units[other].chunk
            yield Link(
                source=unit.chunk,
                target=target,
                kind="terms",
                relation=units.relation(unit.chunk, target),
                weight=score[other] / own,
            )


def _holders(terms: list[frozenset[str]]) -> dict[str, list[int]]:
    """Where each term stands that some units, but not too many, share."""
    counts = Counter(term for each in terms for term in each)
    kept: dict[str, list[int]] = {}
    for row, each in enumerate(terms):
        for term in each:
            if 2 <= counts[term] <= MOST_HOLDERS:
                kept.setdefault(term, []).append(row)
    return kept


def _best(units: Units, row: int, score: Mapping[int, float]) -> list[int]:
    here: Unit = units.units[row]
    others = [at for at in score if at != row and not beside(here, units.units[at])]
    return sorted(others, key=lambda at: (-score[at], at))[:MOST_TARGETS]


def _rest(name: str) -> str:
    return name.partition(" ")[2]
