"""Links and levels that a text gives itself, and what is wrong with them.

It does not know how they are written down.
"""

from collections.abc import Iterator

from rag_adapt.retrieval.linking.units import Level, Link, Unit, Units

_LEVELS: dict[str, Level] = {"1": 1, "2": 2, "3": 3, "4": 4}


def given_links(units: Units) -> Iterator[Link]:
    """From each unit to those that its text names; names that no unit has lead nowhere."""
    named = _named(units)
    seen = set()
    for unit, remark in units.said():
        if remark.kind not in ("connects_to", "same_level_as"):
            continue
        target = named.get(remark.value)
        pair = (unit.chunk, target.chunk if target else 0)
        if target is None or target.chunk == unit.chunk or pair in seen:
            continue
        seen.add(pair)
        yield Link(source=unit.chunk, target=target.chunk, kind="given", relation=remark.kind)


def given_levels(units: Units) -> dict[int, Level]:
    """The levels that texts name; of several for one unit the last."""
    return {
        unit.chunk: _LEVELS[remark.value] for unit, remark in units.said() if remark.kind == "level"
    }


def faults(units: Units) -> Iterator[tuple[str, str]]:
    """Names that no unit has, or that several have: the document and what is wrong."""
    owners: dict[str, str] = {}
    for unit, remark in units.said():
        if remark.kind == "unit" and remark.value in owners:
            where = owners[remark.value]
            yield unit.document, f"its unit {remark.value!r} is also one of {where!r}"
        elif remark.kind == "unit":
            owners[remark.value] = unit.document
    for unit, remark in units.said():
        if remark.kind in ("connects_to", "same_level_as") and remark.value not in owners:
            yield unit.document, f"{remark.kind} names {remark.value!r}, which no unit is called"


def _named(units: Units) -> dict[str, Unit]:
    """Units by name; of several the first."""
    named: dict[str, Unit] = {}
    for unit, remark in units.said():
        if remark.kind == "unit":
            named.setdefault(remark.value, unit)
    return named
