"""Bundlers, frameworks and module systems, each with a small project that imports the package."""
