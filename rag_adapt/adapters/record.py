"""Computes a probe: what base and adapter say about a few prompts, in a plain forward pass.

It does not know training or the store. Nothing of training's packing is used here: these are the
figures of the libraries themselves, row by row, as a server should reproduce them.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from rag_adapt.adapters.pack import TokenRow
from rag_adapt.adapters.probe import NEW_TOKENS, OUTSIDE, Probe, ProbePrompt
from rag_adapt.core.types import Message
from rag_adapt.models.loading import LoadedModel

if TYPE_CHECKING:
    import torch

Ids = Sequence[int]
GENERAL: Final = ("Describe a harbour at night.", "What would you pack for a week in the hills?")
"""Prompts from outside every skill: two adapters that learned the same answers agree on those,
and differ here."""


def record_probe(
    peft: Any, rows: Mapping[str, TokenRow], *, prompts: int, base: LoadedModel
) -> Probe:
    """Continue the first prompts, and the general ones, greedily; note what that was worth.

    Args:
        peft: The trained `peft.PeftModel`; its adapter is active.
        rows: By item id; the answers are not used.
        prompts: How many of them to take.
        base: What the adapter was trained on.
    """
    import torch

    peft.eval()
    asks = {item: row.prompt for item, row in islice(rows.items(), prompts)}
    for number, text in enumerate(GENERAL, start=1):
        asks[f"{OUTSIDE}{number}"] = base.chat.render([Message(role="user", content=text)])
    asked_ids = list(asks.values())
    with torch.inference_mode():
        continued = continuations(peft, asked_ids, base.chat.stop_ids)
        asked = list(zip(asked_ids, continued, strict=True))
        adapter = [logprobs_of(peft, [pair])[0] for pair in asked]
        together = logprobs_of(peft, asked)
        with peft.disable_adapter():
            plain = [logprobs_of(peft, [pair])[0] for pair in asked]
    moved = [
        abs(one - other)
        for alone, mixed in zip(adapter, together, strict=True)
        for one, other in zip(alone, mixed, strict=True)
    ]
    return Probe(
        weights_hash=base.files.weights,
        chat_template_hash=base.chat.template_hash,
        dtype=base.dtype,
        noise=sum(moved) / len(moved),
        prompts=tuple(
            ProbePrompt(
                item=item,
                prompt_ids=asked_ids[place],
                continuation_ids=tuple(continued[place]),
                base=plain[place],
                adapter=adapter[place],
            )
            for place, item in enumerate(asks)
        ),
    )


def continuations(
    model: Any, prompts: Sequence[Ids], stop_ids: Ids, *, limit: int = NEW_TOKENS
) -> list[list[int]]:
    """Greedy answers, at most `limit` tokens long, each with the token that ends it."""
    import torch

    longest = max(map(len, prompts))
    ids = torch.full((len(prompts), longest), stop_ids[0])
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, longest - len(prompt) :] = 1
    generated = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        max_new_tokens=limit,
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
        eos_token_id=list(stop_ids),
        pad_token_id=stop_ids[0],
    )
    return [_ended(row, stop_ids) for row in generated[:, longest:].tolist()]


def _ended(tokens: list[int], stop_ids: Ids) -> list[int]:
    ends = [place for place, token in enumerate(tokens) if token in stop_ids]
    return tokens[: ends[0] + 1] if ends else tokens


def logprobs_of(model: Any, pairs: Sequence[tuple[Ids, Ids]]) -> list[tuple[float, ...]]:
    """Log-probabilities of continuations, computed in one right-padded batch.

    Args:
        model: A causal language model.
        pairs: Prompt and continuation tokens of each row.

    Returns:
        One tuple per row, one natural logarithm per continuation token; the softmax is computed
        in float32.
    """
    import torch

    longest = max(len(prompt) + len(answer) for prompt, answer in pairs)
    ids = torch.zeros((len(pairs), longest), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, (prompt, answer) in enumerate(pairs):
        tokens = [*prompt, *answer]
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
    needed = longest - min(len(prompt) for prompt, _ in pairs) + 1
    logits = model(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        logits_to_keep=needed,
        use_cache=False,
    ).logits
    return [
        _chosen(logits[row], answer, first=len(prompt) - 1 - (longest - needed))
        for row, (prompt, answer) in enumerate(pairs)
    ]


def _chosen(logits: "torch.Tensor", answer: Ids, *, first: int) -> tuple[float, ...]:
    import torch

    scores = torch.log_softmax(logits[first : first + len(answer)].float(), dim=-1)
    picked = scores[torch.arange(len(answer)), torch.tensor(list(answer))]
    return tuple(picked.tolist())
