"""Bundles: ``export`` writes one folder with graphs, proof, report and model card.

``page`` writes a folder for a static web host from a bundle.
"""
