"""The commands that run a bundle: ``rnvp-sample``, ``-score``, ``-verify`` and ``-inspect``.

Each imports numpy and onnxruntime only once it has work for them, so that ``--help`` and shell
completion answer at once.
"""
