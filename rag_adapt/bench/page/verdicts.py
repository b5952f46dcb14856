"""What to do, and what the run allows one to say: recommendations and paired differences.

It does not decide anything; it shows what the report decided.
"""

from collections.abc import Sequence

from rag_adapt.bench.figures import Pair, Recommendation
from rag_adapt.bench.page import charts
from rag_adapt.bench.page.charts import VERDICT_COLOURS, Chart, pair_name
from rag_adapt.bench.page.figure import figure
from rag_adapt.bench.page.markup import Child, Html, el, number_columns, table, text_columns
from rag_adapt.bench.page.subject import Subject
from rag_adapt.bench.page.wording import (
    figure_text,
    interval,
    p_value,
    part,
    plural,
    points,
    points_interval,
    prose,
    verdict,
)
from rag_adapt.bench.table import percent

BASES = {
    "decided": "decided by the test",
    "non-inferior": "cheapest within the margin",
    "undecided": "best expected choice, not decided",
    "not measured": "nothing was measured",
}


def answer(subject: Subject) -> Html:
    """The first thing a reader sees of a skill: the sentence, then every verdict."""
    link = el("a", subject.skill, href=f"#skill-{subject.number}")
    asked = f" · {subject.asked}" if subject.asked else ""
    head = el("h2", link, el("span", asked, class_="counts"))
    return el("article", head, *_sentence(subject), _grouped(subject), class_="answer")


def _sentence(subject: Subject) -> list[Html]:
    said = subject.recommendation
    if said is None:
        return [el("p", "This run makes no recommendation.", class_="sentence")]
    return [el("p", said.sentence, class_="sentence"), el("p", _basis(said), class_="quiet")]


def _basis(said: Recommendation) -> str:
    parts = [f"Basis: {BASES[said.basis]}."]
    if said.regret is not None:
        most = "" if said.regret_95 is None else f", at most {_pts(said.regret_95)} with 95 %"
        parts.append(f"Expected regret {_pts(said.regret)}{most}.")
    if said.n_to_decide is not None:
        parts.append(f"About {said.n_to_decide:,} items, all told, would decide.")
    return prose(" ".join(parts))


def _pts(value: float) -> str:
    return f"{100 * value:.1f} points"


def _grouped(subject: Subject) -> Html | None:
    """Primary contrasts by verdict, decided ones first."""
    lines = []
    for name in VERDICT_COLOURS:
        pairs = [pair for pair in subject.pairs if pair.verdict == name]
        if pairs:
            said = [
                el("li", f"{pair_name(pair)} ", el("span", points(pair.delta), class_="counts"))
                for pair in pairs
            ]
            lines.append(el("li", verdict(name), el("ul", *said)))
    return el("ul", *lines, class_="verdicts") if lines else None


def recommendation(subject: Subject) -> Html | None:
    """The choices that the recommendation weighed."""
    said = subject.recommendation
    if said is None:
        return None
    columns = (
        *text_columns("route"),
        *number_columns("score %", "regret, points", "at most (95 %)", "compute-seconds / answer"),
    )
    rows: list[tuple[Child, ...]] = [
        (
            choice.route,
            percent(choice.score),
            f"{100 * choice.regret:.1f}",
            f"{100 * choice.regret_95:.1f}",
            figure_text(choice.cost),
        )
        for choice in said.choices
    ]
    caption = "What each choice, made now, is expected to fall short of the best route"
    return part(
        "Recommendation",
        el("p", said.sentence),
        table(caption, columns, rows) if rows else None,
        _valid_for(said),
    )


def _valid_for(said: Recommendation) -> Html | None:
    if not said.valid_for:
        return None
    hashes = ", ".join(f"{name} {_brief(value)}" for name, value in said.valid_for.items())
    return el("p", f"It holds while these stay as they are: {hashes}.", class_="quiet")


def _brief(value: str) -> str:
    """The beginning of a bare hash; a name with its hash as it is."""
    return value if "@" in value else value[:12]


def differences(subject: Subject) -> Html | None:
    """Every declared contrast: chart, table, and the worst case where answers failed."""
    pairs = subject.pairs
    if not pairs:
        return None
    chart = Chart(
        title="Difference and interval per contrast",
        sentence=_difference_sentence(pairs),
        spec=charts.differences(pairs),
        file=f"{subject.file}-differences",
        rows=tuple(pair.model_dump(exclude={"skill"}) for pair in pairs),
    )
    return part("Paired differences", figure(chart), _pair_table(pairs), _worst_cases(pairs))


def _difference_sentence(pairs: Sequence[Pair]) -> str:
    decided = sum(pair.verdict in ("better", "worse") for pair in pairs)
    return (
        "Score of the first arm minus the second on the items that both answered. An interval "
        "right of zero favours the first arm. "
        f"{decided} of {plural(len(pairs), 'contrast')} decided after Holm's correction."
    )


def _pair_table(pairs: Sequence[Pair]) -> Html:
    titles = ("points", "95 %", "fixed", "broken", "p", "p (Holm)", "detectable", "n", "clusters")
    columns = (*text_columns("contrast", "verdict"), *number_columns(*titles))
    rows: list[tuple[Child, ...]] = [
        (
            pair_name(pair) if pair.primary else f"{pair_name(pair)} (declared)",
            verdict(pair.verdict),
            points(pair.delta),
            points_interval(pair.ci_low, pair.ci_high),
            pair.fixed,
            pair.broken,
            p_value(pair.p),
            p_value(pair.p_holm),
            f"{100 * pair.mde:.1f}",
            pair.n,
            pair.clusters,
        )
        for pair in pairs
    ]
    tests = dict.fromkeys(pair.test for pair in pairs)
    caption = (
        "Verdicts are on the first arm. Detectable: the smallest difference, in points, that "
        f"this many items find with 80 % power. Test: {', '.join(tests)}"
    )
    return table(caption, columns, rows)


def _worst_cases(pairs: Sequence[Pair]) -> Html | None:
    lines = [
        el(
            "li",
            f"{pair_name(pair)}: {points_interval(pair.worst_low, pair.worst_high)} points",
        )
        for pair in pairs
        if pair.worst_low is not None and pair.worst_high is not None
    ]
    if not lines:
        return None
    lead = el("p", "If every failed answer had gone the worst or the best way:", class_="quiet")
    return el("div", lead, el("ul", *lines))


def interactions(subject: Subject) -> Html | None:
    """Retrieval and adapter together."""
    if not subject.interactions:
        return None
    blocks = []
    for found in subject.interactions:
        trained = "with" if found.trained_with_context else "without"
        rows: list[tuple[Child, ...]] = [
            (name, points(effect.value), points_interval(effect.ci_low, effect.ci_high))
            for name, effect in (
                ("retrieval", found.retrieval),
                ("adapter", found.adapter),
                ("interaction", found.interaction),
            )
        ]
        caption = (
            f"{found.arm}, adapter trained {trained} retrieved context; the four cells on "
            f"{plural(found.n, 'item')}"
        )
        columns = (*text_columns("effect"), *number_columns("points", "95 %"))
        blocks.append(el("div", el("p", found.sentence), table(caption, columns, rows)))
    return part("Retrieval and adapter together", *blocks)


def readout(subject: Subject) -> Html | None:
    """Whether the base model looks to have the skill."""
    found = subject.readout
    if found is None:
        return None
    rows: list[tuple[Child, ...]] = [
        (name, figure_text(value) if value is not None else "not measured")
        for name, value in found.figures.items()
    ]
    columns = (*text_columns("figure"), *number_columns("value"))
    caption = "Scores between 0 and 1; code lengths in bits per answer token"
    shown = table(caption, columns, rows) if rows else None
    said = el("p", el("strong", f"Looks {found.depth}. "), found.sentence)
    return part("What the base model already has", said, shown)


def leaks(subject: Subject) -> Html | None:
    """Test items that were met elsewhere, and the scores without them."""
    found = subject.leaks
    if found is None:
        return None
    said = (
        f"{plural(found.checked, 'test item')} checked: {len(found.found):,} met elsewhere; "
        f"{plural(found.merged_clusters, 'cluster')} joined to others for near-duplicate "
        "items."
    )
    met: list[tuple[Child, ...]] = [
        (leak.item, leak.where, f"{leak.similarity:.2f}") for leak in found.found[:50]
    ]
    columns = (*text_columns("item", "met in"), *number_columns("similarity"))
    caption = "Items met elsewhere"
    if len(met) < len(found.found):
        caption += f": the first {len(met)} of {len(found.found):,}"
    clean: list[tuple[Child, ...]] = [
        (
            arm.arm,
            percent(arm.score),
            percent(arm.clean.score),
            interval(arm.clean.ci_low, arm.clean.ci_high),
            arm.clean.n,
        )
        for arm in subject.measured
        if arm.clean is not None
    ]
    clean_columns = (
        *text_columns("arm"),
        *number_columns("all items %", "without %", "95 %", "n without"),
    )
    return part(
        "Leaks",
        el("p", said),
        table(caption, columns, met) if met else None,
        table("Scores without these items", clean_columns, clean) if clean else None,
    )
