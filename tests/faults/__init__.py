"""Faults of bundles, one typed error each; `python -m tests.faults` fuzzes."""
