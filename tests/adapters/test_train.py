"""Training on a tiny model: what it learns, what it records, and what an interruption leaves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

from rag_adapt.adapters import fit, lora
from rag_adapt.adapters.card import Card
from rag_adapt.adapters.examples import TrainingRow, training_rows
from rag_adapt.adapters.pack import TokenRow, answer_losses, packs
from rag_adapt.adapters.record import logprobs_of
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.adapters.train import items_hash, train
from rag_adapt.core.errors import AdapterError, StorageError
from rag_adapt.core.types import Item
from rag_adapt.models.chat import ChatFormat
from tests.adapters.samples import TEMPLATE, base, items, plan


class Noted:
    """Remembers what was reported; stops where it is told to."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.updates: list[tuple[str, int, int, str]] = []
        self._stop_at = stop_at

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        self.updates.append((stage, done, total, note))
        if stage == "train" and done == self._stop_at:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def chat(tiny_model: Path) -> ChatFormat:
    return ChatFormat.load(tiny_model)


@pytest.fixture(scope="module")
def progress() -> Noted:
    return Noted()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> AdapterStore:
    return AdapterStore(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def trained(tiny_model: Path, chat: ChatFormat, store: AdapterStore, progress: Noted) -> Card:
    return train(plan(epochs=6), base=base(tiny_model), chat=chat, store=store, progress=progress)


def test_the_answer_of_items_never_seen_gets_likelier(trained: Card) -> None:
    assert trained.dev_bits_before is not None
    assert trained.dev_bits_after is not None
    assert trained.dev_bits_after < trained.dev_bits_before - 1
    assert trained.loss_curve[-1].loss < trained.loss_curve[0].loss


def test_the_card_says_what_was_trained_on_what_and_how(trained: Card, chat: ChatFormat) -> None:
    asked = plan(epochs=6)
    assert trained.items_hash == items_hash(asked.rows)
    assert (trained.base_model, trained.weights_hash) == ("tiny", "b" * 64)
    assert trained.chat_template_hash == chat.template_hash
    assert trained.template_hash == TEMPLATE.hash
    assert (trained.settings.rank, trained.settings.alpha) == (8, 16)
    assert trained.settings.shared_prefix is True
    assert (trained.examples, trained.dev_examples, len(trained.loss_curve)) == (6, 3, 12)
    tokens = [len(chat.render(r.messages)) + len(chat.answer_ids(r.target)) for r in asked.rows]
    assert trained.tokens == 6 * sum(tokens)
    assert trained.answer_tokens == 6 * 6 * 4
    assert trained.trained().seconds > 0
    assert (trained.peak_memory_bytes or 0) > 1e7
    assert set(trained.libraries) == {"peft", "safetensors", "torch", "transformers"}


def test_what_is_stored_can_be_served(trained: Card, store: AdapterStore) -> None:
    ref = store.get(trained.version)
    assert ref.rank == 8
    names = {file.name for file in Path(ref.path).iterdir()}
    assert names == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "card.json",
        "probe.json",
    }
    assert str(store.folder) not in (Path(ref.path) / "adapter_config.json").read_text()
    assert trained.size_bytes == (Path(ref.path) / "adapter_model.safetensors").stat().st_size


def test_progress_tells_loss_and_held_out_code_length(trained: Card, progress: Noted) -> None:
    steps = [update for update in progress.updates if update[0] == "train"]
    assert [done for _, done, _, _ in steps] == list(range(13))
    assert {total for _, _, total, _ in steps} == {12}
    assert steps[0][3] == f"held-out {trained.dev_bits_before:.2f} bits/token"
    last = trained.loss_curve[-1].loss
    assert steps[-1][3] == f"loss {last:.3f}, held-out {trained.dev_bits_after:.2f} bits/token"
    assert progress.updates[-1][:3] == ("probe", 1, 1)


def test_the_probe_is_what_peft_computes_from_the_stored_files(
    trained: Card, store: AdapterStore, tiny_model: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    probe = store.probe(trained.version)
    asked = [prompt.item for prompt in probe.prompts]
    assert asked == ["dev-0", "dev-1", "dev-2", "general-1", "general-2"]
    assert probe.effect > 10 * probe.noise
    plain = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    pairs = [(prompt.prompt_ids, prompt.continuation_ids) for prompt in probe.prompts]
    with torch.no_grad():
        without = logprobs_of(plain, pairs)
        adapted = PeftModel.from_pretrained(plain, store.get(trained.version).path).eval()
        with_it = logprobs_of(adapted, pairs)
    for place, prompt in enumerate(probe.prompts):
        assert without[place] == pytest.approx(prompt.base, abs=1e-3)
        assert with_it[place] == pytest.approx(prompt.adapter, abs=1e-3)


def test_the_same_plan_gives_the_same_version_and_another_seed_another(
    tiny_model: Path, chat: ChatFormat, tmp_path: Path
) -> None:
    def version(home: str, seed: int) -> str:
        folder = AdapterStore(tmp_path / home)
        made = plan(count=5, dev=(), seed=seed, batch_size=2)
        return train(made, base=base(tiny_model), chat=chat, store=folder).version

    first = version("one", seed=0)
    assert version("two", seed=0) == first
    assert version("one", seed=1) != first


def test_without_dev_items_the_code_length_is_not_claimed(
    tiny_model: Path, chat: ChatFormat, tmp_path: Path
) -> None:
    store = AdapterStore(tmp_path)
    card = train(plan(count=1, dev=(), epochs=2), base=base(tiny_model), chat=chat, store=store)
    assert (card.dev_bits_before, card.dev_bits_after, card.dev_examples) == (None, None, 0)
    assert (card.dev_curve, card.best_step) == ((), 2)
    assert card.settings.shared_prefix is False
    assert store.probe(card.version).prompts[0].item == "train-0"


def test_an_interrupted_training_leaves_no_adapter(
    tiny_model: Path, chat: ChatFormat, tmp_path: Path
) -> None:
    store = AdapterStore(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(plan(), base=base(tiny_model), chat=chat, store=store, progress=Noted(stop_at=1))
    assert store.list() == ()
    assert sorted(file.name for file in store.folder.iterdir()) == [".lock", ".unfinished"]


def test_a_training_that_diverges_is_not_published(
    tiny_model: Path, chat: ChatFormat, tmp_path: Path
) -> None:
    store = AdapterStore(tmp_path)
    with pytest.raises(AdapterError, match="diverged at learning rate") as caught:
        train(plan(alpha=10**40), base=base(tiny_model), chat=chat, store=store)
    assert "--lr 0.0005" in caught.value.hint
    assert store.list() == ()
    assert [file.name for file in store.folder.iterdir()] == [".lock"]


def test_a_row_longer_than_the_context_is_named(
    tiny_model: Path, chat: ChatFormat, tmp_path: Path
) -> None:
    long = Item(id="train-long", input="x" * 5000, targets=("y",), split="train", cluster="c")
    rows = training_rows([*items(2), long], TEMPLATE)
    store = AdapterStore(tmp_path)
    with pytest.raises(AdapterError, match=r"'train-long' has 50\d\d tokens.*holds 4096"):
        train(plan(rows=rows), base=base(tiny_model), chat=chat, store=store)


def test_weights_that_cannot_be_written_are_a_storage_error(
    tiny_model: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    adapted = lora.adapt(model, plan())
    with pytest.raises(StorageError, match="cannot write"):
        lora.save(adapted, tmp_path / "missing", base_name="tiny")


def test_bfloat16_models_train_with_float32_weights(
    tiny_model: Path, chat: ChatFormat, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    store = AdapterStore(tmp_path)
    model = base(tiny_model, dtype="bfloat16")
    card = train(plan(count=4, dev=()), base=model, chat=chat, store=store)
    tensors = load_file(Path(store.get(card.version).path) / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert len(tensors) == 2 * 2 * 7


def test_a_model_with_a_window_is_trained_row_by_row() -> None:
    config = MistralConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        sliding_window=4,
        initializer_range=0.5,
    )
    torch.manual_seed(0)
    adapted = lora.adapt(MistralForCausalLM(config), plan())
    rows = [TokenRow(prompt=tuple(range(1, 30 + n)), answer=(40 + n, 41)) for n in range(2)]
    assert lora.sharing_is_exact(adapted, rows) is False


def test_every_pass_has_its_own_order_and_every_row_once(chat: ChatFormat) -> None:
    rows = [TokenRow(prompt=(n,), answer=(n,)) for n in range(10)]
    steps = fit.batches(plan(count=10, batch_size=4, epochs=2), rows)
    assert [len(step) for step in steps] == [4, 4, 2, 4, 4, 2]
    first, second = (
        [row.prompt[0] for step in half for row in step] for half in (steps[:3], steps[3:])
    )
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_answer_tokens_alone_carry_loss(tiny_model: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    adapted = lora.adapt(model, plan())
    rows = [TokenRow(prompt=(1, 50, 51, 52), answer=(60, 2))]
    bits = lora.code_length(adapted, rows, shared=False)
    with torch.no_grad():
        logits: Any = model(input_ids=torch.tensor([[1, 50, 51, 52, 60, 2]])).logits[0]
    scores = torch.log_softmax(logits, dim=-1)
    expected = -(scores[3, 60] + scores[4, 2]) / lora.NATS_PER_BIT / 2
    assert bits == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("share", [True, False])
def test_gradients_are_those_of_a_plain_loop_over_the_rows(tiny_model: Path, share: bool) -> None:
    from transformers import AutoModelForCausalLM

    rows = [TokenRow(prompt=(1, 50, 51, 52 + n), answer=(60 + n, 61, 2)) for n in range(3)]

    def gradients(packed: bool) -> list[torch.Tensor]:
        model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
        adapted = lora.adapt(model, plan())
        parameters = [p for p in adapted.peft.parameters() if p.requires_grad]
        with torch.no_grad():
            for parameter in parameters:
                parameter.add_(0.01)
        if packed:
            losses = [
                answer_losses(adapted.peft, p, torch.float32) for p in packs(rows, share=share)
            ]
            torch.autograd.backward(torch.cat(losses).mean())
        else:
            for row in rows:
                ids = torch.tensor([[*row.prompt, *row.answer]])
                labels = ids.clone()
                labels[0, : len(row.prompt)] = -100
                torch.autograd.backward(adapted.peft(input_ids=ids, labels=labels).loss / len(rows))
        return [parameter.grad for parameter in parameters]

    for ours, plain in zip(gradients(True), gradients(False), strict=True):
        assert torch.allclose(ours, plain, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("tokens", "chosen"), [(20, "eager"), (700, "sdpa")])
def test_short_packs_use_plain_attention_and_leave_the_model_as_it_was(
    tiny_model: Path, tokens: int, chosen: str
) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        tiny_model, dtype=torch.float32, attn_implementation="sdpa"
    )
    adapted = lora.adapt(model, plan())
    with lora.fast_attention(adapted, [TokenRow(prompt=(5,) * tokens, answer=(2,))]):
        assert model.config._attn_implementation == chosen
    assert model.config._attn_implementation == "sdpa"


def other_answers(target: str) -> tuple[TrainingRow, ...]:
    """Dev rows that want something else than what is trained."""
    rows = training_rows(items(3, "dev"), TEMPLATE)
    return tuple(replace(row, target=target) for row in rows)


def test_the_weights_with_the_lowest_held_out_code_length_are_kept(
    tiny_model: Path, chat: ChatFormat, tmp_path: Path
) -> None:
    store = AdapterStore(tmp_path)
    made = plan(epochs=16, learning_rate=0.01, dev=other_answers("XQ9"))
    card = train(made, base=base(tiny_model), chat=chat, store=store)
    lowest = min(card.dev_curve, key=lambda point: point.bits)
    assert [point.step for point in card.dev_curve] == [8, 16, 24, 32]
    assert card.best_step == lowest.step < 32
    assert card.dev_bits_after == lowest.bits < card.dev_curve[-1].bits
    short = AdapterStore(tmp_path / "short")
    same = train(
        plan(epochs=lowest.step // 2, learning_rate=0.01, dev=()),
        base=base(tiny_model),
        chat=chat,
        store=short,
    )
    assert card.version == same.version


def test_where_nothing_is_better_than_the_base_the_start_is_kept(
    tiny_model: Path, chat: ChatFormat, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    store = AdapterStore(tmp_path)
    made = plan(epochs=2, learning_rate=0.05, dev=other_answers("~"))
    card = train(made, base=base(tiny_model), chat=chat, store=store)
    assert card.best_step == 0
    assert card.dev_bits_after == card.dev_bits_before
    tensors = load_file(Path(store.get(card.version).path) / "adapter_model.safetensors")
    assert all(not tensor.any() for name, tensor in tensors.items() if "lora_B" in name)
