"""The tests. What several of them share is in `tests.flows` and in the conftest files."""
