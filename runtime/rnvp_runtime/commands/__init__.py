"""The commands that run a bundle: ``rnvp-sample``, ``-score``, ``-verify`` and ``-inspect``.

A command imports numpy and onnxruntime when it first needs them, so that ``--help`` and shell
completion are fast.
"""
