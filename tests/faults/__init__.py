"""Tests of faulty bundles: each fault gives one typed error. `python -m tests.faults` fuzzes."""
