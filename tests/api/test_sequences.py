"""Sequences of requests, generated from the links between operations: made, read, changed, deleted.

Each is one that a client could send. What a step is answered must be no fault of ours, must be
what the OpenAPI document says, and what was deleted must be gone.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import Flaky
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.engine.errors import is_inconsistent_replay
from schemathesis.specs.openapi.checks import use_after_free

from benchmarks.soak import CONFIGURATION
from rag_adapt.api.desk import Desk
from rag_adapt.api.limits import Limits
from rag_adapt.jobs.runner import JobRunner
from tests.api.parts import SETTINGS, app_of, listening
from tests.api.test_openapi import CHECKS
from tests.serving.parts import imported
from tests.serving.parts import service as scripted_service

STEPS = 8
"""Requests of one sequence, at most."""
SEQUENCES = 40
"""Of one round."""
ROUNDS = 40
"""At most: one ends early where the service, which remembers, answers a repeated request anew."""
WANTED = 1000
MODEL, SKILL = "route:prompt/colours", "colours"
KNOWN = {"model": MODEL, "models": [MODEL], "skill": SKILL, "skills": [SKILL], "arms": ["prompt"]}
"""What generated bodies name where they name anything: else nothing would ever be made."""
REACHED = ("POST /v1/conversations", "POST /v1/conversations/{id}/turns", "GET /v1/models/{model}")
"""Some of what is made, and of what only succeeds with something that was made or found before."""
SECONDS = 60
"""For one answer."""


class Resting(JobRunner):
    """Runs nothing: jobs wait until they are cancelled."""

    def start(self) -> None:
        """Nothing begins."""


def resting_desk() -> Desk:
    """A desk at which nobody works."""
    desk = Desk.of(SETTINGS)
    return Desk(
        settings=desk.settings, jobs=desk.jobs, runner=Resting(desk.jobs, home=SETTINGS.home)
    )


@dataclass(kw_only=True)
class Watch:
    """Looks at every request and answer."""

    desk: Desk
    asked: int = 0
    wrong: list[str] = field(default_factory=list)
    good: Counter[str] = field(default_factory=Counter)
    """How often each operation did what it was asked."""

    def before(self, case: Any) -> None:
        """Let it name what is there."""
        self.asked += 1
        if isinstance(case.body, dict) and case.meta.generation.mode.is_positive:
            case.body |= {name: KNOWN[name] for name in KNOWN if name in case.body}
            case.body |= {"choice": 0} if "trace_id" in case.body else {}
        if self.asked % 10 == 0:  # else no more jobs are taken
            for job in self.desk.jobs.list("queued"):
                self.desk.jobs.ask_to_cancel(job.id)

    def after(self, response: Any, case: Any, recorder: Any) -> None:
        """Remember what was wrong; the others are asked all the same."""
        self.good[case.operation.label] += response.status_code < 300
        checks = [*CHECKS, use_after_free]
        try:
            case.validate_response(response, checks=checks, recorder=recorder)
        except FailureGroup as failures:
            said = f"{response.status_code} {failures.exceptions} {case.as_curl_command()}"
            self.wrong.append(f"{case.operation.label}: {said[:2000]}")


def client_of(document: dict[str, Any], address: str, watch: Watch) -> Any:
    """A machine whose rules are the links, and that asks the service at this address."""
    config = SchemathesisConfig.from_str(CONFIGURATION)
    schema = schemathesis.openapi.from_dict(document, config=config)
    schema.config.update(base_url=address)
    machine: Any = schema.as_state_machine()

    class Client(machine):  # type: ignore[misc]  # made at run time
        """What the machine calls around each request."""

        def before_call(self, case: Any) -> None:
            watch.before(case)

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"timeout": SECONDS}

        def validate_response(self, response: Any, case: Any, **more: Any) -> None:
            watch.after(response, case, self.recorder)

    return Client


def ask(client: Any, watch: Watch) -> None:
    """Round after round, until enough was asked."""
    limited = settings(
        max_examples=SEQUENCES,
        stateful_step_count=STEPS,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    for number in range(ROUNDS):
        if watch.asked < WANTED:
            try:
                seed(number)(client).run(settings=limited)
            except (Flaky, AssertionError) as error:
                if not (isinstance(error, Flaky) or is_inconsistent_replay(error)):
                    raise


def test_a_thousand_requests_in_sequences_break_neither_the_service_nor_its_schema() -> None:
    imported()
    desk = resting_desk()
    app = app_of(scripted_service(), desk=desk, limits=Limits(rate=100_000, burst=100_000))
    watch = Watch(desk=desk)
    with listening(app) as address:
        ask(client_of(app.openapi(), address, watch), watch)
    assert not watch.wrong, "\n".join(watch.wrong[:10])
    assert watch.asked >= WANTED
    missed = [name for name in REACHED if not watch.good[name]]
    assert not missed
