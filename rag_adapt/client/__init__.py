"""A typed client of our own API: the only door of the user interface."""

from rag_adapt.client.client import Client
from rag_adapt.client.connection import Retries, Timeouts, Upload
from rag_adapt.client.errors import ApiError, filled
from rag_adapt.client.streams import Reconnect, Stream

__all__ = [
    "ApiError",
    "Client",
    "Reconnect",
    "Retries",
    "Stream",
    "Timeouts",
    "Upload",
    "filled",
]
