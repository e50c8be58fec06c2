"""Distributions over lesions: written as YAML, fitted from a table, balanced against a bias."""
