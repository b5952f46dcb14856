"""Parsers of documents, one file for each kind. They know neither folders nor chunks."""
