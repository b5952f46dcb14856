"""Answers as they were written down, in the place of a server that is asked through LiteLLM.

It does not know the server.
"""

from collections.abc import AsyncGenerator, Sequence

from rag_adapt.core.types import Call, Delta, Outcome, Sent, Times, Usage


class Told:
    """What comes for every call, in this order.

    Args:
        story: Pieces of the answer; an error is raised in its place.
    """

    def __init__(self, *story: str | Exception) -> None:
        self.story: Sequence[str | Exception] = story
        self.calls: list[Call] = []
        self.closed = 0

    async def generate(self, call: Call) -> AsyncGenerator[Delta, None]:
        self.calls.append(call)
        for piece in self.story:
            if isinstance(piece, Exception):
                raise piece
            yield Delta(text=piece)
        yield Delta(text="", outcome=self._outcome(call))

    def whole(self, call: Call) -> AsyncGenerator[Delta, None]:
        return self.generate(call)

    async def aclose(self) -> None:
        self.closed += 1

    def _outcome(self, call: Call) -> Outcome:
        name = call.adapter or "base"
        return Outcome(
            text="".join(map(str, self.story)),
            finish_reason="stop",
            usage=Usage(tokens_in=1, tokens_out=len(self.story)),
            times=Times(queued=0.0, first_token=0.1, total=0.2),
            sent=Sent(
                messages=call.messages,
                template_hash=None,
                token_ids=None,
                adapter=call.adapter,
                model=name,
            ),
        )
