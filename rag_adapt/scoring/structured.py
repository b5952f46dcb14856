"""Scorers of JSON answers: all or nothing, and by field.

They do not know schemas: the target itself is the model of a right answer.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from rag_adapt.core.types import Item, Score

_FENCE: Final = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n?```", re.DOTALL | re.IGNORECASE)


class NotJsonError(ValueError):
    """The text is not one JSON value."""


@dataclass(frozen=True, kw_only=True)
class Json:
    """1 where the output is JSON equal to a target; order of keys and spaces do not matter.

    One code fence around the whole answer is taken off; any other word beside it is wrong.
    """

    def score(self, output: str, item: Item) -> Score:
        return _best(output, item, _equality)


@dataclass(frozen=True, kw_only=True)
class JsonFields:
    """Share of right fields: equal fields over all fields of target and output together.

    So an invented field costs as much as a missing one. Fields are the keys of the top level;
    values are compared whole, strings after collapsing their spaces.
    """

    def score(self, output: str, item: Item) -> Score:
        return _best(output, item, _share)


def parse_json(text: str) -> Any:
    """The JSON value that is the whole text, or the whole of its one code fence.

    Raises:
        NotJsonError: saying why not; NaN, infinities and repeated keys are not JSON here.
    """
    stripped = text.strip()
    fenced = _FENCE.fullmatch(stripped)
    try:
        return json.loads(
            fenced[1] if fenced else stripped,
            parse_constant=_refuse,
            object_pairs_hook=_distinct,
        )
    except (ValueError, RecursionError) as error:
        raise NotJsonError(str(error) or "nested too deeply") from error


def same_json(left: Any, right: Any) -> bool:
    """JSON equality: 1 equals 1.0, but true is not 1; strings after collapsing their spaces."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, str) and isinstance(right, str):
        return left.split() == right.split()
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_json, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_json(left[k], right[k]) for k in left)
    return bool(left == right)


def _refuse(constant: str) -> Any:
    raise NotJsonError(f"{constant} is not JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotJsonError("a key is given twice")
    return found


def _best(output: str, item: Item, compare: Callable[[Any, Any], Score]) -> Score:
    wanted = []
    for target in item.targets:
        try:
            wanted.append(parse_json(target))
        except NotJsonError as error:
            why = f"the target {target!r} is not JSON: {error}"
            return Score(value=None, extracted=None, explanation=why)
    try:
        said = parse_json(output)
    except NotJsonError as error:
        return Score(value=0.0, extracted=None, explanation=f"the output is not JSON: {error}")
    scores = [compare(said, value) for value in wanted]
    return max(scores, key=lambda score: score.value or 0.0)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _equality(said: Any, wanted: Any) -> Score:
    hit = same_json(said, wanted)
    why = "equals the target" if hit else f"differs from {_shown(wanted)}"
    return Score(value=float(hit), extracted=_shown(said), explanation=why)


def _share(said: Any, wanted: Any) -> Score:
    if not isinstance(wanted, dict):
        why = f"the target has no fields: {_shown(wanted)}"
        return Score(value=None, extracted=_shown(said), explanation=why)
    if not isinstance(said, dict):
        return Score(value=0.0, extracted=_shown(said), explanation="the output is no JSON object")
    fields = sorted({*said, *wanted})
    wrong = [f for f in fields if f not in said or f not in wanted]
    wrong += [f for f in fields if f not in wrong and not same_json(said[f], wanted[f])]
    value = 1.0 - len(wrong) / len(fields) if fields else 1.0
    why = f"wrong, missing or invented: {', '.join(sorted(wrong))}" if wrong else "all fields right"
    return Score(value=value, extracted=_shown(said), explanation=why)
