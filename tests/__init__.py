"""The tests of the project. `tests.flows` and the conftest files hold what several tests share."""
