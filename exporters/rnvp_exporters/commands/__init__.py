"""The command ``rnvp-export``."""
