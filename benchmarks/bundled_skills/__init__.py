"""The generators of the bundled skills: tables and grammars in, skill folders out.

Nothing here is imported by the product, and nothing here asks a model.
"""
