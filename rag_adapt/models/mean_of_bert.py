"""Embeds texts as most small sentence-transformers models do: the mean of a BERT encoder's states.

It does not know where the model came from, nor what its vectors are for.
"""

import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from rag_adapt.models.packed_bert import PackedBert

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOKENS: Final = 2048
"""That a core computes together, at most: their states fit into its caches."""


class MeanOfBert:
    """The mean of a BERT encoder's states, on a processor: most small models are that.

    Each core computes texts of its own. Cores that share every product wait for each other after
    each, and for whatever else runs on one of them.

    Args:
        model: A `SentenceTransformer` that `fits`.
    """

    def __init__(self, model: Any) -> None:
        import torch

        self._tokenizer = model[0].tokenizer
        self._longest = min(model.max_seq_length, model[0].model.config.max_position_embeddings)
        self._bert = PackedBert(model[0].model)
        self._cores = torch.get_num_threads()
        self._threads = _one_for_each(self._cores)

    @staticmethod
    def fits(model: Any) -> bool:
        """Whether nothing else is done to a text than what is done here."""
        kinds = [type(module).__name__ for module in model]
        return (
            kinds[:2] == ["Transformer", "Pooling"]
            and kinds[2:] in ([], ["Normalize"])
            and model[1].pooling_mode == "mean"
            and not (model.default_prompt_name or model[0].do_lower_case)
            and model.device.type == "cpu"
            and PackedBert.fits(model[0].model)
        )

    def __call__(self, texts: list[str]) -> "NDArray[np.float32]":
        """One row per text, float32, shape (n, d), not normalised; at least one text."""
        import numpy as np

        tokens = self._tokenizer(texts, truncation=True, max_length=self._longest)["input_ids"]
        rows = np.empty((len(texts), self._bert.size), dtype=np.float32)

        def compute(places: Sequence[int]) -> None:
            rows[places] = self._bert.means([tokens[place] for place in places]).numpy()

        shares = _shares([len(each) for each in tokens], cores=self._cores)
        list(self._threads.map(compute, shares))
        return rows


def _shares(lengths: Sequence[int], *, cores: int) -> list[list[int]]:
    """Places of texts, as much work for each core; texts of one length lie side by side."""
    shares = cores * math.ceil(sum(lengths) / (cores * TOKENS))
    longest_first = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    return [longest_first[first::shares] for first in range(min(shares, len(lengths)))]


def _one_for_each(cores: int) -> ThreadPoolExecutor:
    """Threads for each of which torch computes with one core."""
    import torch

    begun = threading.Barrier(cores)

    def begin() -> None:
        torch.set_num_threads(1)
        begun.wait()

    threads = ThreadPoolExecutor(cores, "embedding", initializer=begin)
    list(threads.map(str, range(cores)))
    torch.set_num_threads(cores)  # what threads that begin later find, too
    return threads
