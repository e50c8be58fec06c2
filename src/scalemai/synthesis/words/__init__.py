"""Lesions described in words, read by a fixed grammar and written back."""
