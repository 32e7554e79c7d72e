"""Proof that an exported graph is the flow, and how good the flow is in the graph's dtype.

``probes`` draws inputs and puts the eager flow through them; ``running`` runs a graph's bytes;
``parity`` compares; ``vectors`` writes what any engine can be checked with later.
"""
