"""Collections: documents, their chunks, and the indexes built from them."""
