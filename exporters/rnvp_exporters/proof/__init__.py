"""Proof that an exported graph is the flow, and how good the flow is in the graph's dtype.

``probes`` draws inputs and runs the eager flow on them; ``running`` runs a graph's bytes;
``parity`` compares; ``vectors`` writes test vectors with which any engine can be checked later.
"""
