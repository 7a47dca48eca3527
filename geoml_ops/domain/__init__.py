"""Rules: pure functions over arrays and nouns."""
