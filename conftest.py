"""Hands pytest to the harness."""

pytest_plugins = ["harness.plugin"]
