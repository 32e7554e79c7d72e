"""Tests of a bundle in real servers and programs."""
