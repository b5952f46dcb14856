"""One request from its model name to its kept trace: what chat and text completions share.

It does not know the shape of either.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from starlette.datastructures import State

from rag_adapt.api.metrics import Metrics, Outcome
from rag_adapt.api.problems import ApiProblem, problem_of
from rag_adapt.core.errors import NotProvenError, RagAdaptError
from rag_adapt.core.trace import Failure
from rag_adapt.core.types import FinishReason, Message, Sampling
from rag_adapt.schemas.answers import Citation, Extension, Usage
from rag_adapt.schemas.requests import Generation
from rag_adapt.serving.answering import FailedAnswer, Question, Reply, TokenScore, ask
from rag_adapt.serving.cost import AnswerCost, cost_of
from rag_adapt.serving.served import PLAIN, Served
from rag_adapt.serving.service import Service
from rag_adapt.serving.traces import KeptTrace, new_id

SEED_BITS: Final = 31
KEEP_SECONDS: Final = 2.0
"""How long an answer waits until its trace is kept; after that it goes out without."""
UNPROVEN: Final = 503
"""Status where an adapter was not shown to be active: the service, not the request, is at fault."""
log = logging.getLogger("rag_adapt.api")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Some text of one choice."""

    index: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Finished:
    """One choice, complete."""

    index: int
    reply: Reply
    scores: tuple[TokenScore, ...] | None
    """None where nobody asked for them."""

    @property
    def text(self) -> str:
        """The whole answer."""
        return self.reply.answer.text

    @property
    def reason(self) -> FinishReason:
        """Why it ended."""
        return self.reply.answer.outcome.finish_reason


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A request that has found its route."""

    service: Service
    metrics: Metrics
    served: Served
    model: str
    """As the client named it."""
    questions: tuple[Question, ...]
    """One per choice."""
    logprobs: bool
    id: str
    """Of its trace."""
    created: int
    """Seconds since 1970."""
    owner: str
    """Who asked: the name of the caller."""
    unkept: list[str] = field(default_factory=list)
    """Why its trace was not kept; empty where it was."""

    @property
    def headers(self) -> dict[str, str]:
        """What every answer carries, known before its first token."""
        named = {"X-Trace-Id": self.id, **({"X-Trace-Kept": "false"} if self.unkept else {})}
        return named if self.served.adapter is None else {**named, "X-Adapter": self.served.adapter}

    @property
    def proof(self) -> dict[str, Any] | None:
        """How its adapter was shown to be active, as it goes over the wire; None without one."""
        found = self.served.proof
        if found is None:
            return None
        return {"proven": found.proven, "checks": [asdict(check) for check in found.checks]}

    async def pieces(self) -> AsyncGenerator[Piece | Finished, None]:
        """All choices, one after the other. Closing it cancels the work.

        Raises:
            ApiProblem: a choice got no answer.
        """
        done: list[Finished] = []
        for index in range(len(self.questions)):
            async with aclosing(self._choice(index)) as parts:
                async for part in parts:
                    if isinstance(part, Finished):
                        done.append(part)
                        if len(done) == len(self.questions):
                            await self._keep(done)
                    yield part

    async def whole(self) -> list[Finished]:
        """All choices, asked together.

        Raises:
            ApiProblem: a choice got no answer; the others are cancelled.
        """
        if len(self.questions) == 1:
            done = [await self._last(0)]
        else:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._last(i)) for i in range(len(self.questions))]
            done = [task.result() for task in tasks]
        await self._keep(done)
        return done

    async def _last(self, index: int) -> Finished:
        async with aclosing(self._choice(index, whole=True)) as parts:
            async for part in parts:
                if isinstance(part, Finished):
                    return part
        raise AssertionError("a choice ends with an answer or a failure")

    async def _choice(
        self, index: int, *, whole: bool = False
    ) -> AsyncGenerator[Piece | Finished, None]:
        question = self.questions[index]
        engine, labels = self.service.live.engine, self.served.labels
        outcome: Outcome = "cancelled"
        try:
            asked = ask(self.served.route, question, engine=engine, labels=labels, whole=whole)
            async with aclosing(asked) as parts:
                async for part in parts:
                    if isinstance(part, str):
                        yield Piece(index=index, text=part)
                    else:
                        scores = await self._scores(part)
                        outcome = "answered"
                        self._count(outcome, part)
                        yield Finished(index=index, reply=part, scores=scores)
        except FailedAnswer as failed:
            outcome = "failed"
            await self._keep([], failed.failure)
            raise _problem(failed.failure, self.headers) from failed
        finally:
            if outcome != "answered":
                self._count(outcome)

    def _count(self, outcome: Outcome, reply: Reply | None = None) -> None:
        made = None if reply is None else reply.answer.outcome
        self.metrics.answer(
            route=self.model,
            adapter=self.served.adapter,
            outcome=outcome,
            usage=None if made is None else made.usage,
            times=None if made is None else made.times,
        )

    async def _scores(self, reply: Reply) -> tuple[TokenScore, ...] | None:
        if not self.logprobs or self.service.scores is None:
            return None
        return await self.service.scores.score(reply.answer.trace.call(), reply.answer.text)

    async def _keep(self, done: Sequence[Finished], failure: Failure | None = None) -> None:
        answers: list[dict[str, Any]] = [
            {
                "text": one.text,
                "finish_reason": one.reason,
                "cost": self.cost(one),
                "proof": self.proof,
                "trace": one.reply.answer.trace,
            }
            for one in done
        ]
        if failure is not None:
            said = {"code": failure.code, "message": failure.message, "hint": failure.hint}
            answers.append({"failure": said, "trace": failure.trace})
        await self._keep_or_say(
            KeptTrace(
                id=self.id,
                created=self.created,
                model=self.model,
                answers=tuple(answers),
                owner=self.owner,
            )
        )

    async def _keep_or_say(self, kept: KeptTrace) -> None:
        """An answer that was computed goes out, also where its trace cannot be kept."""
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                await self.service.traces.keep(kept)
        except (RagAdaptError, OSError) as error:  # a timeout is one of the latter
            why = error.fact if isinstance(error, RagAdaptError) else type(error).__name__
            log.warning("trace %s is not kept: %s", self.id, why)
            self.unkept.append(why)
            self.metrics.trace_lost()

    def extension(self, done: Sequence[Finished]) -> Extension:
        """Where the answers came from."""
        origin = self.served.origin
        return Extension(
            route=self.served.arm,
            skill=self.served.skill,
            setup=self.served.setup,
            adapter=self.served.adapter,
            citations=[
                Citation(
                    choice=one.index,
                    document=p.document,
                    start=p.start,
                    end=p.end,
                    text=p.text,
                    score=p.score,
                )
                for one in done
                for p in one.reply.passages
            ],
            run=None if origin is None else origin.run,
            basis=None if origin is None else origin.basis,
            recommended=origin is not None and origin.recommended,
            sentence=None if origin is None else origin.sentence,
            trace_id=self.id,
            trace_kept=not self.unkept,
        )

    def cost(self, one: Finished) -> AnswerCost | None:
        """What one choice cost; None where nobody knows."""
        return cost_of(self.service.live.engine, one.reply.answer.outcome)

    def usage(self, done: Sequence[Finished]) -> Usage:
        """Tokens; the prompt of `n` choices counts once, equal prompts each."""
        first = (one for one in done if self.questions[one.index].repeat == 0)
        tokens_in = sum(map(_tokens_in, first))
        tokens_out = sum(one.reply.answer.outcome.usage.tokens_out for one in done)
        return Usage(
            prompt_tokens=tokens_in,
            completion_tokens=tokens_out,
            total_tokens=tokens_in + tokens_out,
        )


async def open_route(service: Service, model: str) -> Served:
    """The route that a client names.

    Raises:
        ApiProblem: 503, its adapter was not shown to be active.
        RagAdaptError: there is none, or it cannot be opened.
    """
    try:
        return await service.catalogue.open(model)
    except NotProvenError as error:
        problem = problem_of(error)
        problem.status = UNPROVEN
        raise problem from error


def exchange(
    state: State,
    served: Served,
    body: Generation,
    *,
    limit: int | None,
    inputs: Sequence[str],
    turns: tuple[Message, ...] = (),
    logprobs: bool,
    owner: str,
) -> Exchange:
    """The questions of a request, one per choice.

    Args:
        state: The application's: its service and its metrics.
        served: What answers.
        body: What the client wants of it.
        limit: Longest answer in tokens, where the client names one.
        inputs: The items; each is asked `n` times.
        turns: What stands before them.
        logprobs: Whether the client wants log-probabilities.
        owner: The caller's name: nobody else reads the trace.

    Raises:
        ApiProblem: log-probabilities were asked for and the engine gives none.
    """
    service: Service = state.service
    if logprobs and service.scores is None:
        engine = service.live.engine.fingerprint.engine
        raise ApiProblem(
            status=400,
            code="no-logprobs",
            detail=f"logprobs: the engine {engine!r} gives no log-probabilities of its tokens",
            hint="Leave it out, or start the service with `rag-adapt serve --engine embedded`.",
        )
    sampling = _sampling(served, body, limit)
    questions = tuple(
        Question(input=text, turns=turns, sampling=sampling, repeat=repeat)
        for text in inputs
        for repeat in range(body.n or 1)
    )
    return Exchange(
        service=service,
        metrics=state.metrics,
        served=served,
        model=body.model,
        questions=questions,
        logprobs=logprobs,
        id=new_id(),
        created=int(time.time()),
        owner=owner,
    )


def is_plain(served: Served) -> bool:
    """Whether messages go to the engine's model as they are."""
    return served.arm == PLAIN


def _sampling(served: Served, body: Generation, limit: int | None) -> Sampling:
    temperature = body.temperature or 0.0
    seed = body.seed
    if seed is None:
        seed = secrets.randbits(SEED_BITS) if temperature else 0
    return Sampling(
        max_tokens=limit or served.max_tokens,
        temperature=temperature,
        top_p=body.top_p or 1.0,
        seed=seed,
        stop=(*served.stop, *body.stops),
    )


def _tokens_in(one: Finished) -> int:
    return one.reply.answer.outcome.usage.tokens_in


def _problem(failure: Failure, headers: Mapping[str, str]) -> ApiProblem:
    status = UNPROVEN if failure.code == NotProvenError.code else STATUSES.get(failure.code, 502)
    return ApiProblem(
        status=status,
        code=failure.code,
        detail=failure.message,
        hint=failure.hint,
        retryable=failure.retryable,
        headers=headers,
    )


def _statuses(root: type[RagAdaptError]) -> dict[str, int]:
    """The HTTP status of every code in the tree of errors."""
    found: dict[str, Any] = {root.code: root.status}
    for kind in root.__subclasses__():
        found |= _statuses(kind)
    return found


STATUSES: Final = _statuses(RagAdaptError)
