"""Units of knowledge, their levels and the links between them; `registry` names every finder."""
