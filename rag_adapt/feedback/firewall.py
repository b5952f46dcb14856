"""Keeps a skill's test items out of what is learned from feedback.

It does not know who decides. Compared is as in the benchmark's leak firewall: questions by the
Jaccard similarity of their word pairs, answers word for word where a skill declares its targets an
item's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rag_adapt.core.errors import SkillError
from rag_adapt.feedback.entry import Decision, Entry, LeakError
from rag_adapt.feedback.store import FeedbackBook
from rag_adapt.skills.load import list_skills, load_skill
from rag_adapt.skills.near_duplicates import normal_form
from rag_adapt.skills.nearest import NearIndex
from rag_adapt.skills.skill import Skill


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A test item that was met."""

    skill: str
    item: str
    where: str
    """`question`, `turn` or `answer`."""


class Firewall:
    """The test items of one skill."""

    def __init__(self, skill: Skill) -> None:
        self._skill = skill.name
        self._inputs = NearIndex({item.id: item.input for item in skill.test_items})
        self._targets: dict[str, str] = {}
        if skill.unique_targets:
            for item in skill.test_items:
                for target in item.targets:
                    self._targets.setdefault(normal_form(target), item.id)

    def met(self, entry: Entry) -> Leak | None:
        """The test item that this feedback would give away, if there is one."""
        judged, verdict = entry.judged, entry.verdict
        texts = [("question", judged.question), *(("turn", t.content) for t in judged.turns)]
        for where, text in texts:
            if (match := self._inputs.nearest(text)) is not None:
                return Leak(skill=self._skill, item=match.key, where=where)
        for text in filter(None, (judged.answer, verdict.correction)):
            if (item := self._targets.get(normal_form(text))) is not None:
                return Leak(skill=self._skill, item=item, where="answer")
        return None


class Firewalls:
    """The test items of a home's skills, each skill read once.

    Args:
        home: Where imported skills lie.
    """

    def __init__(self, home: Path) -> None:
        self._places = {place.name: place.folder for place in list_skills(home)}
        self._known: dict[str, Firewall | None] = {}

    def met(self, entry: Entry) -> Leak | None:
        """The test item that this feedback would give away, if there is one.

        An answer of the plain model belongs to no skill: it is compared with all that can be read.

        Raises:
            LeakError: its skill is gone or cannot be read, so that nothing can be compared.
        """
        for wall in self._of(entry.judged.skill):
            if (leak := wall.met(entry)) is not None:
                return leak
        return None

    def _of(self, skill: str | None) -> Sequence[Firewall]:
        if skill is None:
            return [wall for name in self._places if (wall := self._wall(name)) is not None]
        wall = self._wall(skill)
        if wall is None:
            raise LeakError(
                f"skill {skill!r} is gone or cannot be read: whether this is one of its test "
                "items cannot be told",
                hint=f"`rag-adapt skills check {skill}` says what is wrong with it.",
            )
        return [wall]

    def _wall(self, skill: str) -> Firewall | None:
        if skill not in self._known:
            try:
                folder = self._places[skill]
                self._known[skill] = Firewall(load_skill(folder))
            except (KeyError, SkillError):
                self._known[skill] = None
        return self._known[skill]


def decide(book: FeedbackBook, home: Path, id: str, decision: Decision, *, decider: str) -> Entry:
    """Accept or reject; what is a test item of its skill cannot be accepted.

    Raises:
        FeedbackNotFoundError: there is none of that id.
        LeakError: it is a test item, or cannot be compared with them.
    """
    entry = book.get(id)
    if decision == "accepted" and (leak := Firewalls(home).met(entry)) is not None:
        raise LeakError(
            f"its {leak.where} is that of test item {leak.item!r} of skill {leak.skill!r}: who "
            "learned from it would be measured on what they know",
            hint="Reject it; test items are never learned from.",
        )
    return book.decide(id, decision, decider=decider)
