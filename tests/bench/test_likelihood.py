"""Every label under the same messages, in bits per byte."""

import asyncio
import math
from collections.abc import Sequence

import pytest

from rag_adapt.bench.likelihood import bits_of_labels
from rag_adapt.core.errors import NoLogProbsError
from rag_adapt.core.types import Message, Sent, TokenLogProbs
from rag_adapt.engines.scripted import ScriptedEngine


class Knowing(ScriptedEngine):
    """Finds every byte of "red" certain and of anything else a coin toss."""

    async def logprobs(
        self, messages: Sequence[Message], continuation: str, adapter: str | None = None
    ) -> TokenLogProbs:
        size = len(continuation.encode())
        each = 0.0 if continuation == "red" else -math.log(2)
        return TokenLogProbs(token_ids=tuple(range(size)), logprobs=(each,) * size, text_bytes=size)


class Silent(ScriptedEngine):
    """A server without log-probabilities."""

    async def logprobs(
        self, messages: Sequence[Message], continuation: str, adapter: str | None = None
    ) -> TokenLogProbs:
        raise NoLogProbsError("none here", hint="use another engine")


def sent(*messages: Message) -> Sent:
    return Sent(messages=messages, template_hash=None, token_ids=None, adapter=None, model="m")


QUESTION = Message(role="user", content="which?")


def test_labels_are_compared_per_byte() -> None:
    found = asyncio.run(bits_of_labels(Knowing(), sent(QUESTION), ["red", "dark blue", "é"]))
    assert found is not None
    assert found == pytest.approx({"red": 0.0, "dark blue": 1.0, "é": 1.0})


def test_where_the_engine_cannot_say_nothing_is_made_up() -> None:
    assert asyncio.run(bits_of_labels(Silent(), sent(QUESTION), ["red"])) is None
    assert asyncio.run(bits_of_labels(Knowing(), sent(), ["red"])) is None
