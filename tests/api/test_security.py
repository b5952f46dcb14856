"""Who comes in, and that nobody's body is read before that is known."""

import asyncio
import json
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from starlette.routing import Host
from starlette.websockets import WebSocketDisconnect

from rag_adapt.api import problems, security
from rag_adapt.api.origin import is_loopback
from rag_adapt.api.problems import ApiProblem
from rag_adapt.core.errors import SettingsError
from rag_adapt.keys.key import Scope
from rag_adapt.keys.store import KeyStore
from tests.api.authorisation import check_authorisation
from tests.api.parts import app_of
from tests.api.small_app import Small, call, small_app
from tests.serving.parts import HOME

JSON = {"host": "127.0.0.1:8000", "content-type": "application/json"}
ASK = b'{"text": "x"}'


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return small_app(KeyStore(tmp_path / "home"))


def client(small: Small) -> TestClient:
    return TestClient(small.app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)


def bearer(small: Small, scope: Scope, name: str = "k") -> dict[str, str]:
    return {"Authorization": f"Bearer {small.store.create(name, scope).token.reveal()}"}


def test_every_operation_lets_in_whom_it_declares_and_nobody_else(small: Small) -> None:
    asked = check_authorisation(small.app, small.store)
    assert len({(cell.method, cell.path) for cell in asked}) == 8
    assert {cell.expected for cell in asked} == {None, 401, 403}


def test_every_operation_of_the_service_is_guarded_as_it_declares() -> None:
    asked = check_authorisation(app_of(), KeyStore(HOME))
    undeclared = {cell.path for cell in asked if cell.need == "admin"}
    assert {"/v1/chat/completions", "/v1/models", "/healthz"} <= {cell.path for cell in asked}
    assert {cell.path for cell in asked if cell.need == "none"} <= {"/healthz", "/readyz"}
    assert not {path for path in undeclared if path.startswith("/v1/chat")}


def test_the_matrix_notices_an_operation_that_is_open_by_mistake(tmp_path: Path) -> None:
    app = FastAPI()
    problems.install(app)

    @app.get("/secret", openapi_extra={"x-scope": "admin"})
    async def secret() -> None:
        return None

    with pytest.raises(AssertionError, match="secret"):
        check_authorisation(app, KeyStore(tmp_path))


def test_documents_of_the_framework_need_admin_once_there_are_keys(small: Small) -> None:
    assert client(small).get("/openapi.json").status_code == 200
    chat, admin = bearer(small, "chat"), bearer(small, "admin", "a")
    assert client(small).get("/openapi.json", headers=chat).status_code == 403
    assert client(small).get("/openapi.json", headers=admin).status_code == 200


def test_on_loopback_without_keys_everything_is_open_to_this_machine(small: Small) -> None:
    assert client(small).post("/v1/ask", json={"text": "x"}).json() == {"text": "x"}
    assert client(small).get("/v1/me").json() == {"text": "local"}


def test_a_key_is_required_from_the_moment_it_exists(small: Small) -> None:
    here = client(small)
    assert here.get("/v1/me").status_code == 200
    made = small.store.create("k", "chat")
    assert here.get("/v1/me").status_code == 401
    headers = {"Authorization": f"Bearer {made.token.reveal()}"}
    assert here.get("/v1/me", headers=headers).json() == {"text": made.key.id}
    small.store.revoke("k")
    assert here.get("/v1/me", headers=headers).status_code == 401
    assert here.get("/v1/me").status_code == 401, "revoking the last key must not open the door"


def test_without_a_key_the_answer_says_which_header_to_send(small: Small) -> None:
    bearer(small, "chat")
    refused = client(small).get("/v1/me")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert "Authorization: Bearer" in refused.json()["hint"]


def test_a_narrow_key_is_told_the_scope_it_lacks(small: Small) -> None:
    refused = client(small).get("/v1/files/a/b", headers=bearer(small, "chat"))
    assert refused.status_code == 403
    assert refused.json()["detail"] == "the key 'k' has the scope chat; this needs bench"
    assert "--scope bench" in refused.json()["hint"]


def test_a_path_of_several_parts_is_guarded_as_its_route_declares(small: Small) -> None:
    headers = bearer(small, "bench")
    assert client(small).get("/v1/files/a/b", headers=headers).json() == {"text": "a/b"}
    assert client(small).delete("/v1/files/a/b", headers=headers).status_code == 403


def test_what_leads_nowhere_is_404_or_405_for_any_key_and_401_for_none(small: Small) -> None:
    headers = bearer(small, "chat")
    assert client(small).get("/v1/nowhere", headers=headers).status_code == 404
    assert client(small).get("/v1/ask", headers=headers).status_code == 405
    assert client(small).get("/v1/nowhere").status_code == 401


def test_a_mounted_app_needs_admin(small: Small) -> None:
    small.app.mount("/inside", FastAPI())
    headers = bearer(small, "bench")
    assert client(small).get("/inside/x", headers=headers).status_code == 403
    assert client(small).get("/inside", headers=headers).status_code == 403


def test_a_route_added_after_the_first_request_is_guarded(small: Small) -> None:
    headers = bearer(small, "chat")
    assert client(small).get("/late", headers=headers).status_code == 404
    small.app.add_api_route("/late", lambda: None)
    assert client(small).get("/late", headers=headers).status_code == 403


def test_a_route_added_to_a_router_inside_is_guarded(tmp_path: Path) -> None:
    store, router = KeyStore(tmp_path), APIRouter()
    small = small_app(store)
    small.app.include_router(router, prefix="/r")
    headers = bearer(small, "chat")
    assert client(small).get("/r/late", headers=headers).status_code == 404
    router.add_api_route("/late", lambda: None)
    assert client(small).get("/r/late", headers=headers).status_code in (403, 404)
    assert client(small).get("/v1/me", headers=headers).status_code == 200


def test_where_paths_cannot_be_told_what_is_unknown_needs_admin(small: Small) -> None:
    small.app.router.routes.append(Host("inside.example", FastAPI()))
    headers = bearer(small, "chat")
    assert client(small).get("/nowhere", headers=headers).status_code == 403
    assert client(small).get("/v1/me", headers=headers).status_code == 200


def test_without_the_handlers_of_problems_errors_of_an_endpoint_pass_the_door(
    tmp_path: Path,
) -> None:
    app = FastAPI()

    @app.get("/refuses", openapi_extra={"x-scope": "chat"})
    async def refuses() -> None:
        raise ApiProblem(status=418, code="teapot", detail="d", hint="h")

    security.install(app, store=KeyStore(tmp_path))
    with pytest.raises(ApiProblem):
        TestClient(app, base_url="http://127.0.0.1").get("/refuses")


def test_a_prefix_of_a_server_in_front_does_not_open_admin_operations(small: Small) -> None:
    headers = bearer(small, "chat")
    behind = TestClient(
        small.app, base_url="http://127.0.0.1", root_path="/api", raise_server_exceptions=False
    )
    assert behind.delete("/api/v1/files/a", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "bearer x", "Basic YTpi", "Token ra_1", "Bearer " + "a" * 5000],
)
def test_what_is_no_key_is_401(small: Small, authorization: str) -> None:
    bearer(small, "chat")
    headers = {"Authorization": authorization}
    assert client(small).get("/v1/me", headers=headers).status_code == 401


def test_two_authorization_headers_are_none(small: Small) -> None:
    key = bearer(small, "chat")["Authorization"]
    got = asyncio.run(
        call(
            small.app,
            "GET",
            "/v1/me",
            headers=[("host", "x"), ("authorization", key), ("authorization", key)],
        )
    )
    assert got.status == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer nonsense"}, 401),
    ],
    ids=["no key", "a bad key"],
)
def test_no_byte_of_the_body_is_read_before_the_caller_is_known(
    small: Small, headers: dict[str, str], status: int
) -> None:
    bearer(small, "admin")
    got = asyncio.run(call(small.app, "POST", "/v1/ask", headers=JSON | headers, pieces=[ASK] * 9))
    assert (got.status, got.taken) == (status, 0)
    assert small.reached == []


def test_a_key_without_the_scope_has_no_body_read_either(small: Small) -> None:
    key = {"authorization": bearer(small, "chat")["Authorization"]}
    got = asyncio.run(call(small.app, "POST", "/undeclared", headers=JSON | key, pieces=[ASK]))
    assert (got.status, got.taken) == (403, 0)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "localhost.:80",
        "",
        "a b",
    ],
)
def test_another_hosts_name_is_refused_without_keys(small: Small, host: str) -> None:
    got = asyncio.run(call(small.app, "GET", "/v1/me", headers={"host": host}))
    assert got.status == 421
    assert json.loads(got.body)["code"] == "foreign-host"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000"])
def test_names_of_this_machine_are_answered(small: Small, host: str) -> None:
    assert asyncio.run(call(small.app, "GET", "/v1/me", headers={"host": host})).status == 200


def test_two_host_headers_are_refused(small: Small) -> None:
    headers = [("host", "localhost"), ("host", "evil.example")]
    assert asyncio.run(call(small.app, "GET", "/v1/me", headers=headers)).status == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://127.0.0.1:8000.evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    ],
    ids=lambda headers: " ".join(headers.values()),
)
def test_a_page_of_another_site_is_refused_without_keys(
    small: Small, headers: dict[str, str]
) -> None:
    refused = client(small).post("/v1/ask", json={"text": "x"}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "foreign-origin")
    assert small.reached == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
    ids=["our own page", "a link that was clicked"],
)
def test_our_own_page_and_a_clicked_link_are_let_in(small: Small, headers: dict[str, str]) -> None:
    assert client(small).get("/v1/me", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "sent", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "*/*"]
)
def test_what_a_form_can_send_is_no_body_for_us(small: Small, sent: str) -> None:
    refused = client(small).post("/v1/ask", content=ASK, headers={"Content-Type": sent})
    assert (refused.status_code, refused.json()["code"]) == (415, "unsupported-media-type")


@pytest.mark.parametrize("sent", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_is_json_however_it_is_written(small: Small, sent: str) -> None:
    answered = client(small).post("/v1/ask", content=ASK, headers={"Content-Type": sent})
    assert answered.status_code == 200


def test_an_upload_needs_a_header_that_no_form_can_add(small: Small) -> None:
    files = {"file": ("a.txt", b"abc")}
    refused = client(small).post("/v1/uploads", files=files)
    assert (refused.status_code, refused.json()["code"]) == (403, "upload-header-missing")
    taken = client(small).post("/v1/uploads", files=files, headers={"X-Rag-Adapt": "1"})
    assert taken.json() == {"text": "3"}


def test_web_sockets_are_closed(small: Small) -> None:
    with pytest.raises(WebSocketDisconnect), client(small).websocket_connect("/v1/ask"):
        pass


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("127.0.0.2", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.168.1.4", False),
        ("example.org", False),
    ],
)
def test_only_addresses_of_this_machine_are_loopback(host: str, ours: bool) -> None:
    assert is_loopback(host) is ours


def test_another_address_needs_an_active_key_before_the_start(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    security.require_keys("127.0.0.1", store)
    with pytest.raises(SettingsError, match=r"0\.0\.0\.0") as refused:
        security.require_keys("0.0.0.0", store)
    assert "rag-adapt keys create NAME --scope chat" in refused.value.hint
    store.create("k", "chat")
    security.require_keys("0.0.0.0", store)
    store.revoke("k")
    with pytest.raises(SettingsError):
        security.require_keys("0.0.0.0", store)


def test_on_another_address_no_request_is_answered_without_a_key(tmp_path: Path) -> None:
    small = small_app(KeyStore(tmp_path), host="0.0.0.0")
    assert client(small).get("/v1/me").status_code == 401
    assert client(small).get("/healthz").status_code == 200


def test_a_damaged_key_file_closes_the_door(small: Small) -> None:
    small.store.path.parent.mkdir()
    small.store.path.write_bytes(b"not a database" * 100)
    refused = client(small).get("/v1/me")
    assert refused.status_code >= 400
    assert refused.headers["content-type"] == problems.MEDIA_TYPE


def test_guessing_keys_is_slowed_down_while_a_known_key_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security, "STRANGERS_RATE", 0.001)
    small = small_app(KeyStore(tmp_path))
    good = bearer(small, "chat")
    assert client(small).get("/v1/me", headers=good).status_code == 200
    token = good["Authorization"][:-4]
    guesses = [
        client(small).get("/v1/me", headers={"Authorization": f"{token}{n:04d}"}).status_code
        for n in range(security.STRANGERS_BURST + 5)
    ]
    assert set(guesses[: security.STRANGERS_BURST - 1]) == {401}
    assert set(guesses[security.STRANGERS_BURST :]) == {429}
    assert client(small).get("/v1/me", headers=good).status_code == 200
