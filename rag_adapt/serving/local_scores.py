"""Log-probabilities of an answer's tokens, from the engine in this process.

It does not know which model that is.
"""

from rag_adapt.core.types import Call
from rag_adapt.engines.late import LateEngine
from rag_adapt.serving.answering import TokenScore


class LocalScores:
    """Reads answers token by token.

    Args:
        engine: Started if it was not.
    """

    def __init__(self, engine: LateEngine) -> None:
        self._engine = engine

    async def score(self, call: Call, text: str) -> tuple[TokenScore, ...]:
        """See `TokenScores.score`; the token that ends an answer is left out."""
        engine = await self._engine.ready(call.adapter)
        found = await engine.logprobs(call.messages, text, call.adapter)
        decode = engine.loaded.chat.decode
        return tuple(
            TokenScore(text=decode([token]), logprob=logprob)
            for token, logprob in zip(found.token_ids, found.logprobs, strict=True)
        )
