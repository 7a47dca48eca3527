"""One loop, four verbs: ingest, train, publish and watch models that read satellite imagery."""

__version__ = "0.1.0"
