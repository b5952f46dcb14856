"""Turns messages into tokens, by the model's own chat template, for training and serving alike.

It does not know weights. What the template does on its own it keeps doing: SmolLM2's puts a
default system message in front where none is given.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rag_adapt.core.errors import SettingsError
from rag_adapt.core.types import Message, content_hash


class ChatFormat:
    """A tokenizer with its chat template.

    Args:
        tokenizer: A transformers tokenizer.
        name: The model's name, for messages.
        stop_ids: Tokens that end generation beside the tokenizer's own end token.

    Raises:
        SettingsError: the tokenizer has no chat template, or no token that ends an answer.
    """

    def __init__(self, tokenizer: Any, *, name: str, stop_ids: Sequence[int] = ()) -> None:
        self.tokenizer = tokenizer
        self.name = name
        template = tokenizer.chat_template
        if isinstance(template, dict):
            template = template.get("default")
        if not template:
            raise SettingsError(
                f"model {name!r} has no chat template: it is no instruction-tuned model",
                hint="Name an instruction-tuned model with --model (often `...-Instruct`).",
            )
        self.template_hash = content_hash(template)
        own = () if tokenizer.eos_token_id is None else (tokenizer.eos_token_id,)
        self.stop_ids: tuple[int, ...] = tuple(dict.fromkeys((*own, *stop_ids)))
        if not self.stop_ids:
            raise SettingsError(
                f"model {name!r} names no token that ends an answer",
                hint="Add `eos_token_id` to its generation_config.json, or name another model.",
            )
        self._end = self._end_of_turn()

    @classmethod
    def load(cls, folder: Path, *, name: str | None = None) -> "ChatFormat":
        """The chat format of a model's folder, without its weights."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder)
        return cls(tokenizer, name=name or str(folder), stop_ids=_configured_stops(folder))

    def render(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Tokens of a conversation, up to where the assistant's answer begins."""
        ids = self.tokenizer.apply_chat_template(
            _plain(messages), add_generation_prompt=True, tokenize=True, return_dict=False
        )
        return tuple(ids)

    def answer_ids(self, text: str) -> tuple[int, ...]:
        """Tokens of an answer and the one that ends it, as generation after `render` gives them.

        The answer is tokenised on its own, as generation starts on a fresh token.
        """
        return (*self.tokenizer.encode(text, add_special_tokens=False), self._end)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of tokens, without special ones; bytes that are no whole character become U+FFFD."""
        text = self.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text)

    def _end_of_turn(self) -> int:
        """The stop token that the template itself puts after an answer; else the first one."""
        turns = [Message(role="user", content="a"), Message(role="assistant", content="b")]
        ids = self.tokenizer.apply_chat_template(
            _plain(turns), add_generation_prompt=False, tokenize=True, return_dict=False
        )
        tail = ids[len(self.render(turns[:1])) :]
        return next((token for token in tail if token in self.stop_ids), self.stop_ids[0])


def _plain(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def _configured_stops(folder: Path) -> tuple[int, ...]:
    file = folder / "generation_config.json"
    if not file.is_file():
        return ()
    configured = json.loads(file.read_text()).get("eos_token_id")
    if configured is None:
        return ()
    return (configured,) if isinstance(configured, int) else tuple(configured)
