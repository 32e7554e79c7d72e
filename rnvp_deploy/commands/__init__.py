"""The commands that make a checkpoint."""
