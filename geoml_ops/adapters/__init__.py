"""Tools: one module per third-party tool; nothing else imports it."""
