"""Grow lesions in a CT that has none.

::

    LesionSpec ─ draw ─▶ Recipe ─ grow ─▶ GrowthField ─ render ─▶ density ─ paint ─▶ CT + mask
    what is wanted       what was drawn   when each cell turned   on the voxels      one field,
                         (JSON sidecar)   (cellular automaton)                       two views

Drawing looks at the patient and at random streams keyed by seed, case and lesion; painting is
pure. A recipe is all that is needed to paint a lesion again.
"""
