"""A BERT encoder so small that a test can afford it, its weights drawn by chance.

It does not know the tests that use it.
"""

from pathlib import Path
from typing import Any

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "tea", "kettle", "water", "a", "##s"]
WINDOW = 32
"""Tokens that it looks at."""


def tiny_bert(**other: Any) -> Any:
    """A `BertModel` of one layer; what is given replaces a part of its configuration."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    parts = {
        "vocab_size": len(WORDS),
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": WINDOW,
        "initializer_range": 0.5,
    }
    return BertModel(BertConfig(**{**parts, **other})).eval()


def write_tiny_bert(folder: Path) -> Path:
    """Model and tokenizer; sentence-transformers takes the mean of its states."""
    from transformers import BertTokenizerFast

    tiny_bert().save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(vocab={word: n for n, word in enumerate(WORDS)}).save_pretrained(folder)
    return folder
