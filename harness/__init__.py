"""Loads a subject, verifies it in a process of its own, and reports: the command, and the plugin of pytest."""
