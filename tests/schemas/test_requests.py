"""A body costs no more than its size, whatever its members are."""

from typing import Any

import pytest
from pydantic import ValidationError

from rag_adapt.schemas.requests import MOST_METADATA, ChatRequest
from rag_adapt.schemas.wire import MOST_UNKNOWN

HELLO = {"role": "user", "content": "Hello"}


def errors_of(**body: Any) -> list[Any]:
    """What is wrong with a request; the model and one message are there."""
    sent = {"model": "x", "messages": [HELLO], **body}
    with pytest.raises(ValidationError) as refused:
        ChatRequest.model_validate(sent)
    return list(refused.value.errors())


def unknown(count: int) -> dict[str, int]:
    return {f"k{number}": 1 for number in range(count)}


def test_an_unknown_member_is_named() -> None:
    (error,) = errors_of(k=1)
    assert error["loc"] == ("k",)


def test_a_body_full_of_unknown_members_is_one_error() -> None:
    (error,) = errors_of(**unknown(10_000))
    assert "has 10002 members" in error["msg"]


def test_messages_full_of_unknown_members_are_given_up_at_the_first() -> None:
    for many in (MOST_UNKNOWN - 5, 600):
        assert len(errors_of(messages=[HELLO | unknown(many)] * 256)) <= MOST_UNKNOWN


def test_what_is_no_message_is_told_once() -> None:
    assert len(errors_of(messages=[1] * 256)) == 1


@pytest.mark.parametrize("field", ["refusal", "audio", "function_call", "annotations"])
def test_what_clients_send_back_with_an_answer_must_say_nothing(field: str) -> None:
    (error,) = errors_of(messages=[HELLO | {field: ["x"]}])
    assert error["loc"][:3] == ("messages", 0, field)


def test_metadata_is_bounded() -> None:
    assert len(errors_of(metadata=unknown(MOST_METADATA + 1))) == 1
