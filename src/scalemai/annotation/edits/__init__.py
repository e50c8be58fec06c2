"""Masks of findings as runs of voxels, patches between them, and the tools that change them."""
