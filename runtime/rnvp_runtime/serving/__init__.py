"""A flow behind HTTP, by the Open Inference Protocol, version 2: extra ``serve``.

``rnvp-serve model.rnvp`` runs it. `protocol` reads requests and writes answers, `graphs` computes
them, `batching` gathers concurrent requests, `app` has the paths, and `server` runs it.
"""
