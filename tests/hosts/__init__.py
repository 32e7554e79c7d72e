"""Servers and programs that a bundle runs in, each of them real."""
