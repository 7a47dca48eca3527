"""The floor under the tools: files, locks, logs and processes."""
