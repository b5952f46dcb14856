"""rag-adapt: should this task be prompted, given documents, or trained into an adapter?"""

__version__ = "0.1.0"
