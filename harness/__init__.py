"""The court: loads a subject, runs the law on it through pytest, and reports."""
