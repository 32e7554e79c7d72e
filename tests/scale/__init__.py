"""Tests of jobs on one machine, on clusters, and behind a server."""
