"""Tiny tensors gain nothing from several threads, and lose much where others compute as well."""

import gc
from collections.abc import Iterator
from importlib import import_module

import pytest
import torch


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Compute on one thread while these tests run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="package")
def little_garbage() -> Iterator[None]:
    """Every training collects garbage; frozen, the imported libraries are not walked through."""
    for library in ("peft", "transformers.trainer"):
        import_module(library)
    gc.freeze()
    yield
    gc.unfreeze()
