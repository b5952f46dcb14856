"""What a benchmark is going to do, decided before anything is asked.

It does not know engines: two plans are the same experiment if their identities are equal.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rag_adapt.adapters.examples import pick
from rag_adapt.core.errors import PlanError
from rag_adapt.core.types import Fingerprint, Item, LearnedFrom, Optimiser, Sampling, content_hash
from rag_adapt.skills.skill import Skill, only_training


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One experiment."""

    skills: tuple[Skill, ...]
    arms: tuple[str, ...]
    items: int | None = None
    """Test items per skill; None is all."""
    examples: int | None = None
    """Training examples that every route may use; None is all."""
    epochs: int = 1
    learn_from: LearnedFrom = "examples"
    """What the arm `lora` is trained on: items, rows made from the documents, or both."""
    corpus_rows: int | None = None
    """Rows made from the documents, at most; None is all."""
    rank: int = 8
    learning_rate: float = 5e-4
    folds: int = 0
    """Cross-fitting: every item is tested by what never saw it; 0 keeps the skill's own splits."""
    train_seeds: int = 1
    """Adapters for each lesson, alike but for their seed."""
    tune: int = 0
    """Dev answers that each tunable route may spend on choosing how it asks."""
    optimiser: Optimiser = "halving"
    """How it chooses: templates and shot counts by successive halving, or examples by DSPy."""
    doses: tuple[int, ...] = ()
    """Sizes of the dose curve, ascending: nested subsets of the examples; see `bench.doses`."""
    contrasts: tuple[tuple[str, str], ...] = ()
    """Pairs to test beside the six of the four routes, declared before the run."""
    margin: float = 0.05
    """How much worse a route may be and still count as not worse."""
    guard: bool = True
    """Whether it is measured what adapters damaged."""
    probe: bool = True
    """Whether each skill is probed (known, latent or absent), where the run trains adapters."""
    choice: bool = True
    """Whether classification is also scored by the likelihood of each label."""
    repeats: int = 1
    seed: int = 0
    temperature: float = 0.0
    latency_items: int = 3
    """Answers per arm that are asked one at a time, for the latency figures."""
    top_k: int = 4
    search_mode: str = "fused"
    embedder: str = "default"

    @property
    def items_per_fold(self) -> int | None:
        """Test items asked in each fold; None is all."""
        return self.items if self.items is None or not self.folds else -(-self.items // self.folds)

    @property
    def training_seeds(self) -> tuple[int, ...]:
        """The seeds of the adapters."""
        return tuple(range(self.seed, self.seed + self.train_seeds))

    def sampling(self, skill: Skill, repeat: int) -> Sampling:
        """The same for all arms of a skill; the seed differs by repeat alone."""
        return Sampling(
            max_tokens=skill.max_tokens,
            temperature=self.temperature,
            seed=self.seed + repeat,
            stop=skill.stop,
        )

    def identity(self, fingerprint: Fingerprint) -> dict[str, Any]:
        """Plain JSON: everything that determines the answers of this experiment."""
        return {
            "skills": {skill.name: skill.data_hash for skill in self.skills},
            "arms": list(self.arms),
            "items": self.items,
            "examples": self.examples,
            "training": [self.epochs, self.rank, self.learning_rate],
            "learn_from": [self.learn_from, self.corpus_rows],
            "folds": self.folds,
            "train_seeds": self.train_seeds,
            "tune": [self.tune, self.optimiser],
            "doses": list(self.doses),
            "contrasts": [list(pair) for pair in self.contrasts],
            "margin": self.margin,
            "choice": self.choice,
            "guard": self.guard,
            "probe": self.probe,
            "repeats": self.repeats,
            "seed": self.seed,
            "temperature": self.temperature,
            "latency_items": self.latency_items,
            "retrieval": [self.top_k, self.search_mode, self.embedder],
            "model": [fingerprint.engine, fingerprint.weights, fingerprint.dtype],
            "deterministic": fingerprint.deterministic,
        }

    def hash(self, fingerprint: Fingerprint) -> str:
        return content_hash(self.identity(fingerprint))


def choose_items(items: Sequence[Item], limit: int | None, seed: int) -> tuple[Item, ...]:
    """A seeded choice that takes one item of each cluster before a second of any.

    Subsets are nested: the first n of a larger choice are the choice of n.

    Raises:
        PlanError: there is nothing to choose from, or the limit is below one.
    """
    if limit is not None and limit < 1:
        raise PlanError(f"--items {limit} leaves nothing to test", hint="Use --items 1 or more.")
    if not items:
        raise PlanError("there are no test items", hint="Run `rag-adapt skills check NAME`.")
    order = random.Random(seed)
    clusters: dict[str, list[Item]] = {}
    for item in items:
        clusters.setdefault(item.cluster, []).append(item)
    queues = list(clusters.values())
    order.shuffle(queues)
    for queue in queues:
        order.shuffle(queue)
    longest = max(map(len, queues))
    rounds = [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]
    return tuple(rounds[:limit])


def choose_examples(items: Sequence[Item], limit: int | None, seed: int) -> tuple[Item, ...]:
    """A seeded, nested choice of training items.

    Raises:
        SkillError: an item is not a training item.
    """
    return pick(only_training(items, purpose="the example pool"), limit, seed=seed)


def other_inputs(items: Sequence[Item]) -> dict[str, str]:
    """For each item the input of the next item of another cluster; its own if there is none."""
    found = {}
    for position, item in enumerate(items):
        rest = [*items[position + 1 :], *items[:position]]
        other = next((o for o in rest if o.cluster != item.cluster), item)
        found[item.id] = other.input
    return found
