"""Links of the OpenAPI document lead from what an operation answers to what can be asked next."""

from typing import Any

from rag_adapt.api import links
from tests.api.parts import app_of


def described() -> dict[str, dict[str, Any]]:
    """Every operation of the document by its name."""
    paths = app_of().openapi()["paths"].values()
    return {one["operationId"]: one for path in paths for one in path.values()}


def found_in(answer: Any, pointer: str) -> Any:
    """What a JSON pointer leads to."""
    for part in pointer.split("/")[1:]:
        answer = answer[int(part) if isinstance(answer, list) else part]
    return answer


def test_every_link_leads_from_what_is_answered_to_what_can_be_asked() -> None:
    operations = described()
    for link in links.links():
        source, target = operations[link.source], operations[link.target]
        (status, good) = min(source["responses"].items())
        assert good["links"][link.target]["operationId"] == link.target
        wanted = {one["name"] for one in target.get("parameters", ())}
        assert set(link.parameters) <= wanted, link
        needed = {one["name"] for one in target.get("parameters", ()) if one["in"] == "path"}
        assert needed <= set(link.parameters), link
        given = {one["name"] for one in source.get("parameters", ()) if one["in"] == "path"}
        for expression in (*link.parameters.values(), *(link.body or {}).values()):
            place, _, pointer = expression.partition("#")
            if place == "$response.body":
                example = good["content"]["application/json"]["example"]
                assert isinstance(found_in(example, pointer), str), (link, status)
            else:
                assert place.removeprefix("$request.path.") in given, link
