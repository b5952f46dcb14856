"""Where weights come from, how they are loaded, and how messages become tokens."""
