"""Grow lesions in a CT that has none.

::

    LesionSpec ─ draw ─▶ Recipe ─ grow ─▶ GrowthField ─ render ─▶ density ─ paint ─▶ CT + mask
    what is wanted       what was drawn   when each cell turned   on the voxels      one field,
                         (JSON sidecar)   (cellular automaton)                       two views

::

    drawing/     what a spec leaves open: place, shape, look           (the random step)
    growth/      tissue, automaton, field on the voxels                (pure)
    families/    solid, hollow, lung, bone: where growth may go
    painting/    HU and mask, with the noise of the scan
    effects/     the surroundings: tissue pushed aside, vessels, ducts
    timeline/    one lesion over time                removal/  lesions taken out, or back in time
    words/       lesions in words                    populations/  distributions of lesions
    audit/       can an edit be told from a sham?

Drawing looks at the patient and at random streams keyed by seed, case and lesion; painting is
pure. A recipe is all that is needed to paint a lesion again.
"""
