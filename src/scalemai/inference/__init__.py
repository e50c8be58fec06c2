"""From a detector and a CT to findings on the CT's own grid.

::

    organ      the organ's mask, from the case or from a folder of its own, holes closed
    windows    the detector over the region of interest, slab by slab
    predict    one case: probabilities on the source grid, findings with sizes, site and HU
    files      what is written: maps, masks, findings, where they come from
    batch      many cases, resumable

Memory is bounded by the scan, never by scan x classes in floating point.
"""
