"""Every error this project raises on purpose, in one tree.

It does not know how an error is shown: the command line and the API each have one place for that.

    RagAdaptError
    ├── UserError                 the user can mend it (exit code 2, HTTP 4xx)
    │   ├── SettingsError         a configuration value is wrong
    │   ├── SkillError            a skill folder, or a file to import, is wrong
    │   │   ├── UnknownSkillError (api/run_orders.py) no skill of that name
    │   │   ├── SkillExistsError  (api/imports.py) a skill of that name is there already
    │   │   └── TemplateChangedError (skills/editing.py) another template stands there by now
    │   ├── TemplateError         a template has an illegal or unfilled placeholder
    │   ├── ModelNotFoundError    no weights where we looked
    │   ├── CollectionError       a collection is missing, empty or cannot be built
    │   │   ├── DocumentNotFoundError (api/library.py) no such collection or document
    │   │   ├── UnreadableError   (api/library.py) an uploaded document is no text
    │   │   └── NotOursError      (api/library.py) a collection of documents from elsewhere
    │   ├── LockedError           another process writes there
    │   ├── AdapterError          an adapter is missing, unsafe or for another base model
    │   │   └── UnfitAdapterError (adapters/upload.py) what was uploaded is no such adapter
    │   ├── PlanError             a benchmark was asked for something that does not exist
    │   ├── RunNotFoundError      no such run
    │   ├── StorageError          disk full, folder read-only
    │   ├── MissingPackageError   an optional package is needed
    │   ├── ParserError           (limited/bounds.py) a file used up its limits, or broke its reader
    │   ├── ParsersBusyError      (limited/bounds.py) as many files are read as may be at once
    │   ├── FeedbackError         (feedback/entry.py) cannot be given, changed or decided so
    │   │   ├── TooMuchFeedbackError (feedback/entry.py) as much of one giver's waits as may
    │   │   └── LeakError         (feedback/entry.py) it is a test item, or cannot be compared
    │   ├── FeedbackNotFoundError (feedback/entry.py) no such feedback
    │   ├── ConversationNotFoundError (serving/conversation.py) no such conversation, turn or answer
    │   ├── UnderWayError         (serving/conversation.py) an answer before it is being written
    │   ├── ConversationFullError (serving/conversation.py) as much is kept as may be
    │   ├── TooManyAtOnceError    (serving/conversation.py) as many answers are written as may be
    │   ├── KeysError             (keys/key.py) an API key is missing, taken or misnamed
    │   ├── JobNotFoundError      (jobs/job.py) no such job
    │   ├── JobError              (jobs/job.py) no command of ours, or a key used twice
    │   └── QueueFullError        (jobs/job.py) as many jobs wait as may
    └── EngineError               the engine failed (exit code 1, HTTP 5xx)
        ├── ContextLengthError    the prompt does not fit
        ├── RefusedError          the server refuses this request as it is
        ├── NoLogProbsError       the engine cannot give log-probabilities
        ├── StillLookingError     (api/checkup.py) examining the machine takes too long
        ├── IndexGoneError        (retrieval/chroma_server.py) Chroma's server is gone
        └── NotProvenError        an adapter was not shown to be active
"""

from typing import ClassVar


class RagAdaptError(Exception):
    """Base of all errors raised on purpose.

    Args:
        fact: What is wrong, with the offending value.
        hint: What to do, with the exact command where there is one.
    """

    code: ClassVar[str] = "internal"
    """Stable name for programs: in failures, JSON reports and API problems."""
    status: ClassVar[int] = 500
    """HTTP status of the API's problem document."""
    retryable: ClassVar[bool] = False
    """Whether the same call may succeed later without a change."""

    def __init__(self, fact: str, *, hint: str) -> None:
        super().__init__(fact)
        self.fact = fact
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.fact}\n{self.hint}"


class UserError(RagAdaptError):
    """The user can mend it."""

    code = "user"
    status = 400


class SettingsError(UserError):
    """A configuration value is wrong."""

    code = "settings"


class SkillError(UserError):
    """A skill folder, or a file to import as one, is wrong."""

    code = "skill"


class TemplateError(UserError):
    """A template has an illegal or unfilled placeholder."""

    code = "template"


class ModelNotFoundError(UserError):
    """No weights in any of the places looked in."""

    code = "model-not-found"
    status = 404


class CollectionError(UserError):
    """A collection is missing, empty or cannot be built."""

    code = "collection"


class LockedError(UserError):
    """Another process writes to this folder."""

    code = "locked"
    status = 409
    retryable = True


class AdapterError(UserError):
    """An adapter is missing, unsafe, or trained for another base model."""

    code = "adapter"


class PlanError(UserError):
    """A benchmark was asked for something that does not exist."""

    code = "plan"


class RunNotFoundError(UserError):
    """There is no such run."""

    code = "run-not-found"
    status = 404


class StorageError(UserError):
    """The disk is full or the folder cannot be written."""

    code = "storage"
    status = 507


class MissingPackageError(UserError):
    """An optional package is needed and not installed."""

    code = "missing-package"
    status = 501


class EngineError(RagAdaptError):
    """The engine failed to answer."""

    code = "engine"
    status = 502
    retryable = True


class ContextLengthError(EngineError):
    """The prompt and the answer do not fit into the model's context."""

    code = "context-length"
    status = 413
    retryable = False


class RefusedError(EngineError):
    """The server refuses this request as it is; asking again changes nothing."""

    code = "refused"
    status = 422
    retryable = False


class NoLogProbsError(EngineError):
    """The engine cannot give log-probabilities."""

    code = "no-logprobs"
    status = 501
    retryable = False


class NotProvenError(EngineError):
    """An adapter was not shown to be active; its answers must not be scored."""

    code = "not-proven"
    status = 409
    retryable = False
