"""Fifty swaps under load, bad adapters among them: nobody gets an answer from another version."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from rag_adapt.adapters.check import weights_hash
from rag_adapt.core.errors import AdapterError, NotProvenError
from tests.vllm.scene import Ground, renamed

SWAPS = 50
CLIENTS = 4
QUESTIONS = ("hello there", "what is it", "one more", "and then")


@pytest.fixture
def bad(ground: Ground) -> Iterator[tuple[str, ...]]:
    """Versions that must never answer: one does nothing, one is another's weights."""
    store = ground.store.folder
    first, other = store / ground.versions[0], store / ground.versions[1]
    idle = renamed(first, store / "idle-in-the-making", lambda name: name.replace("q_proj", "qq"))
    made = []
    for folder, name in ((idle, "idle"), (other, "swapped")):
        version = f"{name}@{weights_hash(folder)}"
        shutil.copytree(folder, store / version)
        shutil.copy(first / "probe.json", store / version / "probe.json")
        card = json.loads((first / "card.json").read_text())
        changed = {**card, "name": name, "version": version}
        (store / version / "card.json").write_text(json.dumps(changed))
        made.append(version)
    shutil.rmtree(idle)
    yield tuple(made)
    for version in made:
        shutil.rmtree(store / version)


@dataclass
class Fight:
    """Clients that ask and one who swaps, and what became of it."""

    ground: Ground
    bad: tuple[str, ...]
    expected: dict[tuple[str, str], str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def fight(self) -> None:
        """Until so many swaps were made."""
        for version in self.ground.versions:
            for text in QUESTIONS:
                answer = await self.ground.ask(version, text, tokens=4)
                self.expected[version, text] = answer.text
        async with asyncio.TaskGroup() as group:
            group.create_task(self.swap())
            for number in range(CLIENTS):
                group.create_task(self.client(number))

    async def client(self, number: int) -> None:
        """Ask all good versions in turn."""
        turn, versions = 0, self.ground.versions
        while not self.done.is_set():
            version = versions[(number + turn) % len(versions)]
            text = QUESTIONS[turn % len(QUESTIONS)]
            outcome = await self.ground.ask(version, text, tokens=4)
            assert outcome.sent.model == version
            self.counts["answered"] += 1
            self.counts["same text"] += outcome.text == self.expected[version, text]
            turn += 1

    async def swap(self) -> None:
        """Unload and load, the bad ones among the good."""
        while self.counts["swaps"] < SWAPS:
            for version in (*self.ground.versions, *self.bad):
                await self.ground.engine.adapters.unload(version)
                self.counts["refused"] += not await self.loaded(version)
                self.counts["swaps"] += 1
        self.done.set()

    async def loaded(self, version: str) -> bool:
        """Whether a version may answer: good ones always, bad ones never."""
        try:
            await self.ground.engine.ensure_loaded(version)
        except (NotProvenError, AdapterError):
            assert version in self.bad
            return False
        assert version not in self.bad
        return True


def test_fifty_swaps_under_load(ground: Ground, bad: tuple[str, ...]) -> None:
    """Every good request is answered, by the version that it asked for; no bad one is."""

    async def scene() -> Counter[str]:
        fight = Fight(ground, bad)
        await fight.fight()
        return fight.counts

    counts = ground.run(scene(), seconds=1200)
    print(f"\n{dict(counts)}")
    assert counts["swaps"] >= SWAPS
    assert counts["refused"] >= 2 * (SWAPS // 6)
    assert counts["answered"] > 0
    # Batches of another composition may choose another token where two are as good as equal.
    assert counts["same text"] >= 0.9 * counts["answered"]
