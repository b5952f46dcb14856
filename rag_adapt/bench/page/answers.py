"""Answers on the page: what one arm fixed and broke against another, and mixed-up labels.

It does not know how they were found; every text here is foreign.
"""

from collections.abc import Sequence

from rag_adapt.bench.page import charts
from rag_adapt.bench.page.charts import MAX_LABELS, Chart, pair_name
from rag_adapt.bench.page.evidence import NO_LABEL, Confusion, Said, Turned, Turns
from rag_adapt.bench.page.figure import figure
from rag_adapt.bench.page.markup import (
    Child,
    Html,
    details,
    el,
    foreign,
    joined,
    number_columns,
    table,
    text_columns,
)
from rag_adapt.bench.page.subject import Subject
from rag_adapt.bench.page.wording import part, plural, points

MIX_UPS = 10
"""Most frequent mix-ups that are listed per arm."""
MOST_TAGS = 12
"""Tags that are listed per contrast."""


def fixed_and_broken(subject: Subject) -> Html | None:
    """Per contrast the items that turned, with both answers."""
    shown = [_pair(turns) for turns in subject.turns if turns.fixed or turns.broken]
    if not shown:
        return None
    said = (
        "Fixed: the first arm of the contrast scored higher on the item than the second; "
        "broken: lower. Texts of models and items are shown as they are, cut where they are long."
    )
    return part(
        "Fixed and broken items", el("p", said, class_="quiet"), el("div", *shown, class_="fold")
    )


def _pair(turns: Turns) -> Html:
    summary = [
        pair_name(turns.pair),
        el("span", f" · {turns.fixed} fixed, {turns.broken} broken", class_="counts"),
    ]
    return details(
        summary,
        _items("Fixed", turns.fixed, turns.fixed_items, turns),
        _items("Broken", turns.broken, turns.broken_items, turns),
        _tags(turns),
    )


def _tags(turns: Turns) -> Html | None:
    counted = turns.pair.by_tag[:MOST_TAGS]
    if not counted:
        return None
    caption = "By tag, those with the most turned items first; described, not tested"
    if len(turns.pair.by_tag) > len(counted):
        caption += f" ({len(counted)} of {len(turns.pair.by_tag)} are shown)"
    columns = (*text_columns("tag"), *number_columns("items", "points", "fixed", "broken"))
    rows: list[tuple[Child, ...]] = [
        (foreign(one.tag), one.n, points(one.delta), one.fixed, one.broken) for one in counted
    ]
    return table(caption, columns, rows)


def _items(title: str, count: int, items: Sequence[Turned], turns: Turns) -> Html | None:
    if not count:
        return None
    caption = f"{title}: {plural(count, 'item')}"
    if count > len(items):
        caption += f", of which {len(items)} are shown"
    columns = text_columns("item", "accepted", turns.pair.a, turns.pair.b)
    rows: list[tuple[Child, ...]] = [
        (
            [el("span", item.item, class_="item-name"), foreign(item.input)],
            foreign(" | ".join(item.targets[:3])),
            _said(item.a, item.a_mean),
            _said(item.b, item.b_mean),
        )
        for item in items
    ]
    return table(caption, columns, rows, class_="texts")


def _said(said: Said, mean: float) -> Html:
    score = f"score {said.score:.2f}".replace(".00", "")
    if abs(mean - said.score) > 1e-9:
        score += f", mean of its answers {mean:.2f}"
    return joined([foreign(said.output), el("span", score, class_="item-name")])


def confusion(subject: Subject) -> Html | None:
    """Which labels were answered for which, per route."""
    if not subject.confusions:
        return None
    best = max(subject.routes, key=lambda arm: arm.score or 0.0, default=subject.confusions[0]).arm
    shown = [
        details(found.arm, *_confusion(subject, found), open_=found.arm == best)
        for found in subject.confusions
    ]
    return part("Mixed-up labels", el("div", *shown, class_="fold"))


def _confusion(subject: Subject, found: Confusion) -> list[Html]:
    right = sum(count for (target, said), count in found.counts.items() if target == said)
    none = sum(count for (_, said), count in found.counts.items() if said == NO_LABEL)
    total = sum(found.counts.values())
    said = (
        "Answers by target (down) and answered label (across); a stronger colour is a larger "
        f"share of the target's answers. {right:,} of {plural(total, 'answer')} on the diagonal, "
        f"{none:,} without a label."
    )
    mixed = _mix_ups(found)
    if len(found.labels) > MAX_LABELS:
        return [el("p", said), mixed]
    chart = Chart(
        title=f"Confusion matrix of {found.arm}",
        sentence=said,
        spec=charts.confusion(found),
        file=f"{subject.file}-{found.arm.replace('+', '-')}-confusion",
        rows=charts.confusion_rows(found),
    )
    return [figure(chart), mixed]


def _mix_ups(found: Confusion) -> Html:
    wrong = {cell: count for cell, count in found.counts.items() if cell[0] != cell[1]}
    ordered = sorted(wrong.items(), key=lambda entry: (-entry[1], entry[0]))
    rows: list[tuple[Child, ...]] = [
        (target, answered, count) for (target, answered), count in ordered[:MIX_UPS]
    ]
    if not rows:
        return el("p", "No label was mixed up with another.", class_="quiet")
    columns = (*text_columns("target", "answered"), *number_columns("answers"))
    return table(f"Most frequent mix-ups of {found.arm}", columns, rows)
