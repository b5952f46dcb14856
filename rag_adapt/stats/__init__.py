"""Statistics: pure functions of numbers. They do not know what was measured."""
