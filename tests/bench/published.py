"""Adapters in a home whose references are those of weights that are a hash.

It does not know engines: a server that computes with `hashed_weights` proves them.
"""

from pathlib import Path

from rag_adapt.adapters.probe import PROBE_FILE, ProbePrompt
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.models.chat import ChatFormat
from rag_adapt.models.files import ModelFiles
from tests.adapters.samples import card, probe, write_adapter
from tests.engines.hashed_weights import BASE_WEIGHTS, continued, figures, weights_of

WEIGHTS = "b" * 64
PROMPTS = ((1, 2, 3), (4, 5))


def tiny_files(folder: Path) -> ModelFiles:
    """The tiny model under the name that the samples' cards carry."""
    return ModelFiles(name="tiny", path=folder, weights=WEIGHTS, source="folder")


def publish(
    store: AdapterStore,
    chat: ChatFormat,
    *,
    name: str = "codes",
    fill: float = 1.0,
    weights: str = WEIGHTS,
) -> str:
    """The version of an adapter that was trained for a base model of these weights."""
    with store.workspace() as work:
        own = weights_of(str(write_adapter(work, fill=fill)))
        rows = [(prompt, tuple(continued(own, prompt, 5))) for prompt in PROMPTS]
        prompts = tuple(
            ProbePrompt(
                item=f"dev-{number}",
                prompt_ids=prompt,
                continuation_ids=answer,
                base=figures(BASE_WEIGHTS, prompt, answer),
                adapter=figures(own, prompt, answer),
            )
            for number, (prompt, answer) in enumerate(rows)
        )
        found = probe(prompts=prompts, weights_hash=weights)
        (work / PROBE_FILE).write_text(found.model_dump_json())
        described = card(name, chat_template_hash=chat.template_hash, weights_hash=weights)
        return store.publish(work, described).version
