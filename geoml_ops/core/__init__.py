"""Nouns: values that one step hands to another. No disk, no network, no framework."""
