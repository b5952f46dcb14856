"""Model names become ready routes; nothing is trained, and nothing stale is served."""

import asyncio
import json
import shutil
import threading
from dataclasses import replace

import pytest

from rag_adapt.adapters.store import AdapterStore
from rag_adapt.bench.arms import Search
from rag_adapt.bench.proof import Proof, declared, not_provable
from rag_adapt.core.errors import AdapterError, ModelNotFoundError, NotProvenError
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.routes.demonstrate import Demonstrate
from rag_adapt.serving.catalogue import Catalogue
from rag_adapt.serving.served import Served
from rag_adapt.skills.skill import Skill
from tests.serving.parts import HOME, benched, imported, indexed, live, opened, published, service


def test_a_prompt_is_served_in_the_skills_first_template() -> None:
    imported()
    served: Served = opened(service(), "route:prompt/colours")
    assert (served.arm, served.skill, served.setup) == ("prompt", "colours", "prompt")
    assert served.route.steps == ()
    assert (served.max_tokens, served.stop, served.labels) == (6, ("\n",), ("red", "blue"))
    assert served.origin is None


def test_rag_searches_the_skills_documents() -> None:
    imported()
    served: Served = opened(service(), "route:rag/colours")
    assert served.setup == "context, 2 passages"
    assert [step["step"] for step in served.route.spec()["steps"]] == ["retrieve"]


def test_rag_without_documents_says_what_to_do() -> None:
    imported(corpus=False)
    with pytest.raises(ModelNotFoundError, match="has no documents") as caught:
        opened(service(), "route:rag/colours")
    assert "route:prompt/colours" in caught.value.hint


def test_the_engines_model_goes_by_its_own_name_alone() -> None:
    one = service()
    assert opened(one, "scripted").arm == "plain"
    with pytest.raises(ModelNotFoundError, match="'gpt-4o'; the engine's is 'scripted'"):
        opened(one, "gpt-4o")


@pytest.mark.parametrize("subject", ["ghost", "../skills", "home/skills/colours", "/etc", "."])
def test_a_skill_is_found_by_its_name_and_never_by_a_path(subject: str) -> None:
    imported()
    with pytest.raises(ModelNotFoundError, match="there is no skill"):
        opened(service(), f"route:prompt/{subject}")


def test_lora_without_a_current_adapter_names_the_command_that_trains_one() -> None:
    imported()
    with pytest.raises(AdapterError, match="has no current adapter") as caught:
        opened(service(), "route:lora/colours")
    assert "`rag-adapt adapters train colours`" in caught.value.hint
    with pytest.raises(AdapterError, match="a request never trains one") as caught:
        opened(service(), "route:rag+lora/colours")
    assert "`rag-adapt adapters train colours --context`" in caught.value.hint


def test_lora_serves_the_current_adapter_by_skill_name_or_version() -> None:
    imported()
    engine = ScriptedEngine()
    card = published(engine)
    one = service(engine)
    for subject in ("colours", card.version):
        served: Served = opened(one, f"route:lora/{subject}")
        assert (served.adapter, served.skill) == (card.version, "colours")
    assert engine.adapters.loaded == [card.version]


def test_an_adapter_of_another_name_is_found_by_that_name() -> None:
    imported()
    engine = ScriptedEngine()
    card = published(engine, name="my-colours")
    assert opened(service(engine), "route:lora/my-colours").adapter == card.version


def test_a_new_current_adapter_is_served_at_the_next_request() -> None:
    imported()
    engine = ScriptedEngine()
    old, one = published(engine), service(engine)
    assert opened(one, "route:lora/colours").adapter == old.version
    new = published(engine, fill=2.0)
    assert opened(one, "route:lora/colours").adapter == new.version
    AdapterStore(HOME).set_current(old.version)
    assert opened(one, "route:lora/colours").adapter == old.version


def test_rag_and_lora_together_want_an_adapter_that_knows_passages() -> None:
    imported()
    engine = ScriptedEngine()
    blind = published(engine)
    knowing = published(engine, name="colours-context", fill=2.0, with_context=True)
    one = service(engine)
    served: Served = opened(one, "route:rag+lora/colours")
    assert served.adapter == knowing.version
    assert [step["step"] for step in served.route.spec()["steps"]] == ["retrieve", "adapt"]
    with pytest.raises(AdapterError, match="trained without passages"):
        opened(one, f"route:rag+lora/{blind.version}")
    with pytest.raises(AdapterError, match="trained with retrieved passages"):
        opened(one, f"route:lora/{knowing.version}")


def test_an_adapter_trained_on_another_template_is_not_served() -> None:
    folder = imported()
    engine = ScriptedEngine()
    published(engine)
    (folder / "templates" / "prompt.toml").write_text('system = ""\nuser = "{input}?"\n')
    with pytest.raises(AdapterError, match="was trained with template"):
        opened(service(engine), "route:lora/colours")


def test_a_route_carries_the_proof_of_its_adapter() -> None:
    imported()
    engine = ScriptedEngine()
    version = published(engine).version
    one = service(engine)
    assert opened(one, "route:lora/colours").proof == declared(version, version[-12:])
    assert opened(one, "route:prompt/colours").proof is None


def test_an_adapter_is_proven_before_it_is_opened() -> None:
    imported()
    engine = ScriptedEngine()
    version = published(engine).version
    asked: list[str] = []

    async def unproven(name: str) -> Proof:
        asked.append(name)
        return not_provable(name, engine="scripted")

    one = service(engine, prove=unproven)
    with pytest.raises(NotProvenError, match="gives no log-probabilities"):
        opened(one, "route:lora/colours")
    assert asked == [version]
    assert engine.adapters.loaded == []


def test_a_route_is_opened_once_for_many_requests_and_anew_when_the_skill_changes() -> None:
    folder = imported()
    one = service()

    async def many() -> list[Served]:
        return await asyncio.gather(*(one.catalogue.open("route:rag/colours") for _ in range(8)))

    found = asyncio.run(many())
    assert len({id(served) for served in found}) == 1
    (folder / "corpus" / "more.md").write_text("Thing number 3 is blue.\n")
    again = opened(one, "route:rag/colours")
    assert again.route.spec() != found[0].route.spec()


class SlowIndex:
    """Indexes when it may, and counts how many threads do so at once."""

    def __init__(self) -> None:
        self.go, self.started = threading.Event(), threading.Event()
        self.begun = self.inside = self.most = 0

    def __call__(self, skill: Skill) -> Search:
        self.begun += 1
        self.started.set()
        self.inside += 1
        self.most = max(self.most, self.inside)
        assert self.go.wait(10)
        self.inside -= 1
        return indexed(skill)


def test_a_client_that_leaves_while_its_route_is_opened_leaves_it_to_the_next() -> None:
    imported()
    index = SlowIndex()
    catalogue = Catalogue(replace(live(), index=index))

    async def leave_and_come() -> Served:
        first = asyncio.create_task(catalogue.open("route:rag/colours"))
        await asyncio.to_thread(index.started.wait, 10)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        second = asyncio.create_task(catalogue.open("route:rag/colours"))
        await asyncio.sleep(0.05)
        index.go.set()
        return await second

    assert asyncio.run(leave_and_come()).arm == "rag"
    assert (index.begun, index.most) == (1, 1)


def test_two_routes_of_one_skill_index_it_one_after_the_other() -> None:
    imported()
    index = SlowIndex()
    engine = ScriptedEngine()
    published(engine, name="colours-context", with_context=True)
    catalogue = Catalogue(replace(live(engine), index=index))

    async def both() -> None:
        names = ("route:rag/colours", "route:rag+lora/colours")
        tasks = [asyncio.create_task(catalogue.open(name)) for name in names]
        await asyncio.to_thread(index.started.wait, 10)
        await asyncio.sleep(0.05)
        index.go.set()
        await asyncio.gather(*tasks)

    asyncio.run(both())
    assert (index.begun, index.most) == (1, 1)


def test_a_name_that_leads_nowhere_leaves_nothing_behind() -> None:
    one = service()
    for number in range(20):
        with pytest.raises(ModelNotFoundError):
            opened(one, f"route:prompt/ghost-{number}")
    assert not one.catalogue._kept
    assert not one.catalogue._opening


def test_auto_without_a_run_names_the_command_that_makes_one() -> None:
    imported()
    with pytest.raises(ModelNotFoundError, match="there is no finished run") as caught:
        opened(service(), "route:auto/colours")
    assert "`rag-adapt bench colours`" in caught.value.hint


def test_auto_serves_what_the_latest_run_recommends_and_says_so() -> None:
    imported()
    benched("colours", "--top-k", "2")
    served: Served = opened(service(), "route:auto/colours")
    assert served.arm in ("prompt", "rag")
    assert served.origin is not None
    assert served.origin.recommended
    assert served.origin.run in {path.name for path in (HOME / "runs").iterdir()}
    assert served.origin.sentence


def test_a_route_is_served_with_the_setup_that_its_run_chose_on_dev() -> None:
    folder = imported()
    (folder / "templates" / "prompt-2.toml").write_text(
        'system = ""\nuser = "{labels}\\n{input}"\n'
    )
    benched("colours", "--arms", "prompt", "--tune", "48")
    report = next((HOME / "runs").glob("*/report.json"))
    answers = report.with_name("answers.jsonl").read_text().splitlines()
    spec = json.loads(answers[0])["trace"]["route"]
    one = service()
    served: Served = opened(one, "route:prompt/colours")
    assert served.route.spec() == spec
    assert served.origin is not None
    assert opened(one, "route:auto/colours").route.spec() == spec
    assert opened(one, "route:rag/colours").origin is None


@pytest.mark.parametrize("part", ["skill", "documents"])
def test_a_recommendation_falls_when_what_it_was_made_from_changes(part: str) -> None:
    folder = imported()
    benched("colours", "--top-k", "2")
    one = service()
    opened(one, "route:auto/colours")
    if part == "skill":
        toml = (folder / "skill.toml").read_text().replace('"Colours"', '"Hues"')
        (folder / "skill.toml").write_text(toml)
    else:
        (folder / "corpus" / "more.md").write_text("Thing number 3 is blue.\n")
    with pytest.raises(ModelNotFoundError, match=f"the {part} changed since run"):
        opened(one, "route:auto/colours")
    assert opened(one, "route:prompt/colours").origin is None


def test_a_recommendation_is_for_the_model_that_was_asked() -> None:
    imported()
    benched("colours", "--top-k", "2")
    with pytest.raises(ModelNotFoundError, match="asked another model"):
        opened(service(ScriptedEngine(name="another")), "route:auto/colours")


def test_other_settings_of_retrieval_than_the_runs_are_told() -> None:
    imported()
    benched("colours", "--top-k", "2")
    (answers,) = (HOME / "runs").glob("*/answers.jsonl")
    answers.write_text(answers.read_text().replace('"mode":"fused"', '"mode":"dense"'))
    report = json.loads(answers.with_name("report.json").read_text())
    report["recommendations"][0]["route"] = "rag"
    answers.with_name("report.json").write_text(json.dumps(report))
    with pytest.raises(ModelNotFoundError, match="cannot be served as run"):
        opened(service(), "route:auto/colours")


def test_a_run_that_is_damaged_or_of_another_schema_is_passed_over() -> None:
    imported()
    benched("colours", "--top-k", "2")
    (report,) = (HOME / "runs").glob("*/report.json")
    copy = report.parent.with_name("99999999-000000-zzzzzz")
    shutil.copytree(report.parent, copy)
    (copy / "report.json").write_text('{"schema_version": "0.1"}')
    served = opened(service(), "route:auto/colours")
    assert served.origin.run == report.parent.name
    shutil.rmtree(report.parent)
    with pytest.raises(ModelNotFoundError, match="under schema"):
        opened(service(), "route:auto/colours")


def test_examples_in_a_recommended_setup_come_from_the_runs_own_pool() -> None:
    imported()
    benched("colours", "--arms", "few-shot", "--examples", "5")
    served: Served = opened(service(), "route:auto/colours")
    assert served.arm == "few-shot"
    (step,) = served.route.steps
    assert isinstance(step, Demonstrate)
    assert len(step.pool) == 5
    assert served.setup == "prompt, 4 fixed examples"
