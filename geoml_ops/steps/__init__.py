"""Use cases: one module per verb, one function per task, nouns in and nouns out."""
