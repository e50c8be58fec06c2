"""From predictions and references to numbers that can be defended.

::

    pairing       which prediction belongs to which reference, and what is missing
    segmentation  one structure against its reference: overlap and surface distances
    lesions       components, sizes, matching, FROC
    patients      one score a patient: sensitivity, specificity, AUROC, operating point
    tables        rows with the ids of their definitions, the version and the cases
    comparison · subgroups · scaling · reading · errors     questions put to the tables
    report        pages that need nothing else

Every number has a definition (:mod:`scalemai.evaluation.definitions`).
"""
