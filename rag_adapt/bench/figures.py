"""The figures of `report.json`: its published shape, and nothing else.

It does not know how any figure is obtained; figures that were not measured are null.
"""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from rag_adapt.bench.dose_figures import Crossover, DoseReport

SCHEMA_VERSION: Final = "2.1"
"""Major and minor: a minor one adds fields, so reports of earlier minor ones can still be read."""
VerdictName = Literal["better", "worse", "non-inferior", "undecided"]
Basis = Literal["decided", "non-inferior", "undecided", "not measured"]
Depth = Literal["known", "latent", "absent", "undecided"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cost(_Model):
    """What one answer costs."""

    value: float
    unit: str
    """`compute-seconds/answer`: mean seconds of an answer computed alone on this machine."""


class GuardFigures(_Model):
    """One thing that an adapter may have damaged, measured against the base."""

    name: str
    """`off-identical`, `a-b-a`, `bits-per-byte`, `kl`, `accept-or-push-back` or `skill:<name>`."""
    value: float | None
    """The drop or distance; its unit stands in `unit`."""
    low: float | None = None
    high: float | None = None
    before: float | None = None
    """The level under the base, in the same unit; null where only a distance is measured."""
    after: float | None = None
    """The level under the adapter."""
    unit: str
    verdict: Literal["passed", "failed", "undecided"]
    detail: str


class AdapterFigures(_Model):
    """What an adapter took, and what it damaged."""

    version: str
    examples: int
    seconds: float
    bytes: int
    proven: bool
    seed: int = 0
    """Its training seed."""
    fold: int | None = None
    with_context: bool = False
    """Whether its training rows carried retrieved passages."""
    dev_bits_before: float | None = None
    """Held-out code length in bits per answer token under the base."""
    dev_bits_after: float | None = None
    guard: tuple[GuardFigures, ...] = ()


class CollectionFigures(_Model):
    """What a collection took."""

    name: str
    documents: int
    chunks: int
    seconds: float | None
    """Null where it was built before."""
    bytes: int


class Difference(_Model):
    """Score minus another arm's, on the items that both answered."""

    arm: str
    value: float
    ci_low: float
    ci_high: float
    n: int


class Candidate(_Model):
    """One setting that a route was tried with on dev."""

    name: str
    score: float | None
    """Mean primary score over its dev answers; for a training, see `bits`."""
    bits: float | None = None
    """Held-out code length in bits per answer token, for trainings."""
    answers: int
    """Dev answers spent on it."""
    chosen: bool


class Given(_Model):
    """What a route was given to choose and learn from: the seventh law, printed."""

    examples: int
    """Training items it could use."""
    documents: int
    dev_items: int
    """Dev items it could choose on."""
    budget: int
    """Answers it could spend on tuning; with DSPy some of them on training items."""
    spent: int
    candidates: tuple[Candidate, ...] = ()
    fold: int | None = None


class FormatEffect(_Model):
    """Classification scored by generation and by choice log-likelihood on the same items."""

    n: int
    generated: float
    choice: float
    """Share of items whose target label has the highest log-likelihood per byte."""
    effect: float
    """Choice minus generated: what the answer's form costs."""
    ci_low: float
    ci_high: float


class Subset(_Model):
    """The score on some of the items."""

    n: int
    score: float
    ci_low: float
    ci_high: float


class ArmReport(_Model):
    """One arm of one skill; figures that were not measured are null."""

    skill: str
    arm: str
    control: bool
    measured: bool
    reason: str | None = None
    """Why it was not measured."""
    n: int = 0
    """Items with a score."""
    clusters: int = 0
    failures: int = 0
    unscored: int = 0
    failure_codes: dict[str, int] = {}
    score: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    ci_method: str | None = None
    scores: dict[str, float] = {}
    """Means of the other scorers."""
    seeds: dict[str, float] = {}
    """Mean score by training seed, for arms with adapters."""
    clean: Subset | None = None
    """Without the items that the leak firewall found; null where it found none."""
    format_effect: FormatEffect | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds: float | None = None
    """Sum over answers from the start of computation to the last token; batches overlap."""
    cached: int = 0
    """Answers read from the cache."""
    latency_n: int = 0
    latency_p50: float | None = None
    """Seconds from the call to the last token, over answers computed alone and uncached."""
    latency_p95: float | None = None
    first_token_p50: float | None = None
    first_token_p95: float | None = None
    cost: Cost | None = None
    difference: Difference | None = None
    """To the best control."""
    given: tuple[Given, ...] = ()
    """One per fold."""
    adapters: tuple[AdapterFigures, ...] = ()
    """One per training seed and fold."""
    collection: CollectionFigures | None = None


class TagCount(_Model):
    """One tag's share of what a contrast fixed and broke; described, not tested."""

    tag: str
    n: int
    """Items with the tag that both arms answered."""
    delta: float
    """Mean score of b minus a on them."""
    fixed: int
    broken: int


class Retrieved(_Model):
    """What retrieval found for an arm, and what that did to its answers."""

    skill: str
    arm: str
    n: int
    """Scored items that name gold spans."""
    hits: int
    """Of them, those with a gold span whole in a passage that was sent."""
    hit_rate: float
    ci_low: float
    ci_high: float
    score_hit: Subset | None
    score_missed: Subset | None
    against: str | None = None
    """The arm without passages that rescue and harm are counted against; null without one."""
    wrong_without: int = 0
    rescued: int = 0
    """Of those wrong without passages, the ones right with them (mean score of at least 0.5)."""
    right_without: int = 0
    harmed: int = 0
    """Of those right without passages, the ones wrong with them."""


class Pair(_Model):
    """What a run allows one to say about two arms: one declared contrast."""

    skill: str
    a: str
    b: str
    primary: bool
    """Of the six pairs of the four routes; others were declared with --contrast."""
    n: int
    """Items that both arms answered."""
    clusters: int
    delta: float
    """Mean score of b minus a."""
    ci_low: float
    ci_high: float
    fixed: int
    """Items where b scored higher; for right-or-wrong items: a wrong and b right."""
    broken: int
    """Items where b scored lower."""
    test: str
    """`mcnemar-exact`, `cluster-sign-flip` or `sign-flip`."""
    p: float
    p_holm: float
    """Adjusted over the declared contrasts of this skill."""
    mde: float
    """Smallest difference that this many items detect with 80 % power at 5 %."""
    verdict: VerdictName
    worst_low: float | None = None
    """Lower bound if every failure of b counted 0 and every failure of a 1; null without."""
    worst_high: float | None = None
    """Upper bound in the opposite case."""
    by_tag: tuple[TagCount, ...] = ()
    """Tags of at least five items of which some turned."""


class Choice(_Model):
    """What choosing a route now is expected to cost in score."""

    route: str
    score: float
    regret: float
    """Expected shortfall to the best route, in score."""
    regret_95: float
    """The shortfall that it will not exceed with 95 % probability."""
    cost: float | None
    """Compute-seconds per answer."""


class Recommendation(_Model):
    """What to do now, even where nothing is decided."""

    skill: str
    route: str | None
    """Null if nothing was measured."""
    basis: Basis
    sentence: str
    regret: float | None
    """Expected regret of choosing it, in score."""
    regret_95: float | None = None
    n_to_decide: int | None
    """Items, all told, that would decide its contrast with the runner-up; null if decided, or if
    no number of them would."""
    choices: tuple[Choice, ...] = ()
    valid_for: dict[str, str] = {}
    """Hashes of model, skill, collection and adapters that it holds for."""


class Effect(_Model):
    """A main effect or an interaction, in score."""

    value: float
    ci_low: float
    ci_high: float


class Interaction(_Model):
    """Retrieval and adapter together, from the four cells on the same items."""

    skill: str
    arm: str
    """The fourth cell: `rag+lora`, or `rag+lora-blind`."""
    trained_with_context: bool
    n: int
    retrieval: Effect
    adapter: Effect
    interaction: Effect
    sentence: str


class Leak(_Model):
    """A test item that was met elsewhere."""

    item: str
    where: str
    """`train`, `dev` or `corpus`, and what it was met in: `train:item-7`."""
    similarity: float


class Leaks(_Model):
    """What the leak firewall found for one skill."""

    skill: str
    checked: int
    """Test items."""
    found: tuple[Leak, ...]
    merged_clusters: int
    """Clusters that were joined because their items are near-duplicates."""


class ReadOut(_Model):
    """Whether the skill looks known, latent or absent in the base model."""

    skill: str
    depth: Depth
    sentence: str
    figures: dict[str, float | None]
    """Code lengths in bits per answer token and scores, by condition."""


class Report(_Model):
    """`report.json`."""

    schema_version: str = SCHEMA_VERSION
    run: dict[str, Any]
    """Id, command, plan, model fingerprint, hashes, versions and machine."""
    arms: tuple[ArmReport, ...]
    pairs: tuple[Pair, ...] = ()
    recommendations: tuple[Recommendation, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    leaks: tuple[Leaks, ...] = ()
    readouts: tuple[ReadOut, ...] = ()
    retrieved: tuple[Retrieved, ...] = ()
    doses: tuple[DoseReport, ...] = ()
    """The dose curve: exploratory, in no contrast. Empty without `--doses`."""
    crossovers: tuple[Crossover, ...] = ()


def readable(version: object) -> bool:
    """Whether a report of this schema version can be read as a `Report`."""
    major, _, minor = SCHEMA_VERSION.partition(".")
    return version in {f"{major}.{earlier}" for earlier in range(int(minor) + 1)}


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of `report.json`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Report.model_json_schema()}
