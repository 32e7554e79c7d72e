"""The commands that write a checkpoint: ``rnvp-train`` and ``rnvp-import``."""
