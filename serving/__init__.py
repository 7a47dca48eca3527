"""The service: it follows the champion, classifies what is sent, and shows the maps to people."""
