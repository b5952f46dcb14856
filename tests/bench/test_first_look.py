"""A proof asks the cheapest prompts that can decide, and all of them where those did not."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rag_adapt.adapters.probe import PROBE_FILE, Probe, ProbePrompt
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.bench.proof import Proof, first_look, prove
from tests.adapters.samples import card, probe, write_adapter

TEMPLATE = "c" * 12
NOISE = 0.02
"""So parity allows 0.08 nats per token, and a first look wants references 0.18 apart."""


def prompt(item: str, *, length: int, tokens: int = 8, effect: float = 1.0) -> ProbePrompt:
    """References that lie `effect` apart, under tokens that name the prompt."""
    return ProbePrompt(
        item=item,
        prompt_ids=(len(item),) * length,
        continuation_ids=tuple(range(tokens)),
        base=(-2.0,) * tokens,
        adapter=(-2.0 + effect,) * tokens,
    )


WHOLE = (
    prompt("dev-0", length=80, tokens=16),
    prompt("dev-10", length=200, tokens=16),
    prompt("general-1", length=40, tokens=16, effect=0.2),
    prompt("general-22", length=400, tokens=16, effect=0.2),
)
"""What a training records."""


def references(*prompts: ProbePrompt, noise: float = NOISE) -> Probe:
    return probe(prompts=prompts, noise=noise)


def looked(*prompts: ProbePrompt, noise: float = NOISE) -> list[tuple[str, int]]:
    """What is asked first: names, and how many tokens of each."""
    part = first_look(references(*prompts, noise=noise))
    return [] if part is None else [(p.item, len(p.continuation_ids)) for p in part.prompts]


def test_the_first_tokens_of_the_cheapest_prompts_of_both_kinds_are_asked_first() -> None:
    assert looked(*WHOLE) == [("dev-0", 4), ("general-1", 4)]


@pytest.mark.parametrize(
    ("prompts", "noise", "wanted"),
    [
        pytest.param(WHOLE, 0.3, [], id="the references lie too near for the noise"),
        pytest.param(
            (prompt("dev-0", length=80, effect=0.02), *WHOLE[1:]),
            NOISE,
            [("dev-0", 3), ("dev-10", 3), ("general-1", 3)],
            id="the shortest prompt says too little",
        ),
        pytest.param(
            (prompt("dev-0", length=80, tokens=2), *WHOLE[2:]),
            NOISE,
            [("dev-0", 2), ("general-1", 3), ("general-22", 3)],
            id="short answers take more prompts",
        ),
        pytest.param(WHOLE[:2], NOISE, [("dev-0", 4), ("dev-10", 4)], id="only the skill's"),
        pytest.param(
            (prompt("dev-0", length=8, tokens=4), prompt("dev-1", length=8, tokens=4)),
            NOISE,
            [],
            id="it would be all of them",
        ),
        pytest.param((prompt("dev-0", length=8, tokens=2),), NOISE, [], id="too few tokens"),
    ],
)
def test_a_first_look_is_one_that_can_decide(
    prompts: tuple[ProbePrompt, ...], noise: float, wanted: list[tuple[str, int]]
) -> None:
    assert looked(*prompts, noise=noise) == wanted


@dataclass
class Engine:
    """Computes so much of the adapter's effect, off by some nats per token."""

    probe: Probe
    off: float = 0.0
    share: float = 1.0
    asked: list[str] = field(default_factory=list)

    async def logprobs_of_ids(
        self, prompt_ids: Sequence[int], continuation_ids: Sequence[int], adapter: str | None = None
    ) -> Sequence[float]:
        (one,) = (p for p in self.probe.prompts if p.prompt_ids == tuple(prompt_ids))
        self.asked.append(one.item)
        pairs = list(zip(one.base, one.adapter, strict=True))[: len(continuation_ids)]
        return [base + self.share * (adapter - base) + self.off for base, adapter in pairs]


class Chat:
    template_hash = TEMPLATE


def proven(folder: Path, engine: Engine, *, quickly: bool = True) -> Proof:
    """A proof of an adapter with the engine's references."""
    store = AdapterStore(folder)
    with store.workspace() as work:
        write_adapter(work)
        (work / PROBE_FILE).write_text(engine.probe.model_dump_json())
        version = store.publish(work, card(chat_template_hash=TEMPLATE)).version
    return asyncio.run(prove(version, store=store, engine=engine, chat=Chat(), quickly=quickly))


@pytest.mark.parametrize(
    ("off", "share", "decided", "asked"),
    [
        pytest.param(0.0, 1.0, True, 2, id="the adapter"),
        pytest.param(0.03, 1.0, True, 2, id="less than three quarters of what is allowed"),
        pytest.param(0.07, 1.0, True, 6, id="allowed and not clear: all are asked"),
        pytest.param(-0.09, 1.0, False, 6, id="too far and not clear: all are asked"),
        pytest.param(-0.3, 1.0, False, 2, id="another adapter"),
        pytest.param(0.0, 0.0, False, 2, id="the base"),
        pytest.param(float("-inf"), 1.0, False, 2, id="never among the candidates"),
    ],
)
def test_more_is_asked_only_where_the_first_look_is_not_clear(
    tmp_path: Path, off: float, share: float, decided: bool, asked: int
) -> None:
    engine = Engine(probe=references(*WHOLE), off=off, share=share)
    assert proven(tmp_path, engine).proven is decided
    assert len(engine.asked) == asked
    assert sorted(engine.asked[:2]) == ["dev-0", "general-1"]


def test_where_nobody_waits_all_are_asked(tmp_path: Path) -> None:
    engine = Engine(probe=references(*WHOLE))
    assert proven(tmp_path, engine, quickly=False).proven
    assert engine.asked == [one.item for one in WHOLE]


def test_what_was_compared_is_said(tmp_path: Path) -> None:
    engine = Engine(probe=references(*WHOLE))
    checks = {check.name: check for check in proven(tmp_path, engine).checks}
    assert "over 8 tokens" in checks["parity"].detail
    assert checks["canary"].figure == pytest.approx(0.6)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.7])
def test_an_engine_between_base_and_adapter_is_never_proven(tmp_path: Path, share: float) -> None:
    engine = Engine(probe=references(*WHOLE), share=share)
    assert not proven(tmp_path, engine).proven
