"""One chat format for training and serving."""

import json
import shutil
from pathlib import Path

import pytest

from rag_adapt.core.errors import SettingsError
from rag_adapt.core.types import Message
from rag_adapt.models.chat import ChatFormat

HELLO = (Message(role="user", content="héllo"),)


@pytest.fixture
def chat(tiny_model: Path) -> ChatFormat:
    return ChatFormat.load(tiny_model, name="tiny")


@pytest.fixture
def copied(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "copy"))


def test_a_conversation_ends_where_the_answer_begins(chat: ChatFormat) -> None:
    ids = chat.render(HELLO)
    raw = chat.tokenizer.decode(list(ids))
    assert raw == "<|im_start|>user\nhéllo<|im_end|>\n<|im_start|>assistant\n"


def test_prompt_and_answer_together_are_the_rendered_conversation(chat: ChatFormat) -> None:
    turns = [{"role": "user", "content": "héllo"}, {"role": "assistant", "content": "wörld"}]
    whole = chat.tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
    begun = (*chat.render(HELLO), *chat.answer_ids("wörld"))
    assert tuple(whole[: len(begun)]) == begun


def test_an_answer_ends_with_a_token_that_stops_generation(chat: ChatFormat) -> None:
    assert chat.answer_ids("x")[-1] in chat.stop_ids


def test_decoding_leaves_special_tokens_out(chat: ChatFormat) -> None:
    assert chat.decode(chat.answer_ids("wörld")) == "wörld"


def test_the_hash_is_that_of_the_template(chat: ChatFormat, copied: Path) -> None:
    template = copied / "chat_template.jinja"
    assert ChatFormat.load(copied).template_hash == chat.template_hash
    template.write_text(template.read_text() + " ")
    assert ChatFormat.load(copied).template_hash != chat.template_hash


def test_a_model_without_template_is_refused(copied: Path) -> None:
    (copied / "chat_template.jinja").unlink()
    with pytest.raises(SettingsError, match="has no chat template"):
        ChatFormat.load(copied)


def test_a_model_without_end_token_is_refused(chat: ChatFormat) -> None:
    chat.tokenizer.eos_token = None
    with pytest.raises(SettingsError, match="no token that ends an answer"):
        ChatFormat(chat.tokenizer, name="endless")


@pytest.mark.parametrize(("configured", "expected"), [([0, 2], (2, 0)), (0, (2, 0)), (None, (2,))])
def test_stop_tokens_come_from_the_generation_configuration_too(
    copied: Path, configured: list[int] | int | None, expected: tuple[int, ...]
) -> None:
    (copied / "generation_config.json").write_text(json.dumps({"eos_token_id": configured}))
    assert ChatFormat.load(copied).stop_ids == expected


def test_a_missing_generation_configuration_leaves_the_tokenizers_own(copied: Path) -> None:
    (copied / "generation_config.json").unlink()
    assert ChatFormat.load(copied).stop_ids == (2,)


def test_the_templates_named_default_is_used_where_there_are_several(chat: ChatFormat) -> None:
    one = chat.tokenizer.chat_template
    chat.tokenizer.chat_template = {"default": one, "tool_use": "{{ tools }}"}
    assert ChatFormat(chat.tokenizer, name="two").template_hash == chat.template_hash
