"""One frozen tree of settings: `rag-adapt.toml` in the working folder, then RAG_ADAPT_* variables.

It does not know what is built from it; only wiring and the command line read it.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from rag_adapt.core.errors import SettingsError

EngineName = Literal["embedded", "vllm", "remote", "scripted"]
OWN_WEIGHTS = ("embedded", "vllm")
"""Engines that compute with weights of ours: adapters can be trained for them."""
Device = Literal["auto", "cpu", "cuda"]
EmbedderPrecision = Literal["auto", "float32", "bfloat16"]
SearchMode = Literal["dense", "lexical", "fused"]
SETTINGS_FILE = "rag-adapt.toml"


class Settings(BaseSettings):
    """Everything a user can configure. Flags of a command override it for that command."""

    model_config = SettingsConfigDict(
        env_prefix="RAG_ADAPT_",
        toml_file=SETTINGS_FILE,
        frozen=True,
        extra="forbid",
    )

    home: Path = Path(".rag-adapt")
    """Where adapters, runs, imported skills, caches and converted models live."""
    indexes: Path = Path("indexes")
    """Where collections live, one folder each."""
    model: str = "default"
    """Language model: `default`, a local folder, or a hub id; with `remote`, a LiteLLM name."""
    embedder: str = "default"
    """Embedding model: `default`, a local folder, or a hub id."""
    embedder_precision: EmbedderPrecision = "auto"
    """What it computes in. `auto` is bfloat16 where the processor multiplies it (and not
    `deterministic`), and for collections that are there, the precision they were built in."""
    device: Device = "auto"
    """`auto` takes CUDA where it is."""
    engine: EngineName = "embedded"
    """`embedded` runs the model in this process, `vllm` asks a vLLM server whose adapters we own,
    `remote` asks any server or provider; both through LiteLLM."""
    api_base: str | None = None
    """Base URL of an OpenAI-compatible server, for `remote`, or of vLLM, for `vllm`; without one
    `vllm` takes the server that `rag-adapt vllm --start` started."""
    api_key: SecretStr | None = None
    """Its key; never printed."""
    deterministic: bool = False
    """float32 and one fixed batch composition: the same tokens every time, more slowly."""
    retriever: str | None = None
    """`package.module:factory` of a LangChain `VectorStore` or `BaseRetriever`, for `rag` arms."""
    search_mode: SearchMode = "fused"
    """How collections are searched."""
    search_rank_constant: int = Field(default=10, ge=0)
    """Of 1 / (constant + rank) where both rankings are fused: a small one lets the first ranks
    stand out."""
    search_neighbours: float = Field(default=0.3, ge=0.0, le=1.0)
    """Share of its score that a chunk lends to the ones before and after it, if fused."""
    search_links: str = ""
    """Kinds of links that search follows, `terms,meaning`; collections of skills get them."""
    search_link_share: float = Field(default=0.3, gt=0.0, le=1.0)
    """Share of its score that a chunk lends along a link."""
    search_levels: str = ""
    """Levels that search keeps, `1,2`: facts, rules, concepts, bridges; all where it is empty."""
    top_k: int = Field(default=4, ge=1, le=50)
    """Passages per question."""
    timeout: float = Field(default=120.0, gt=0)
    """Seconds that one remote answer may take."""
    concurrency: int = Field(default=64, ge=1, le=512)
    """Questions in flight at once."""
    vllm_python: str | None = None
    """Python of the environment that vLLM is installed in; this one by default."""
    vllm_served: str = "base"
    """The name under which the vLLM server serves the base model."""
    vllm_adapters: Path | None = None
    """Where the vLLM server sees `home/adapters`, if not at the same path."""
    serve_body_bytes: int = Field(default=2_000_000, ge=1_000)
    """Bytes that a JSON body sent to the service may have."""
    serve_upload_bytes: int = Field(default=100_000_000, ge=1_000)
    """Bytes that an upload may have."""
    serve_body_seconds: float = Field(default=30.0, gt=0)
    """Seconds within which a body must have arrived."""
    serve_reply_seconds: float = Field(default=30.0, gt=0)
    """Seconds for which a client may leave a reply unread."""
    serve_rate: float = Field(default=100.0, gt=0)
    """Requests per second and API key, on average."""
    serve_burst: int = Field(default=200, ge=1)
    """Requests of one API key at once after a pause."""
    serve_concurrency: int = Field(default=128, ge=1)
    """Requests inside the service at once, all clients together."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags first, then the environment, then the file."""
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))


def load_settings(**overrides: Any) -> Settings:
    """Settings from file and environment, with a command's flags (None means "not given").

    Raises:
        SettingsError: naming the key or variable that is wrong.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as exc:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors()]
        raise SettingsError(
            "settings are wrong: " + "; ".join(lines),
            hint=f"Correct the key in {SETTINGS_FILE} or the variable RAG_ADAPT_<KEY>.",
        ) from exc
