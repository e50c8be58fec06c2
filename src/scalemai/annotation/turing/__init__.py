"""The visual Turing test: can readers tell real lesions from synthetic ones?

::

    candidates  lesions of real and of synthetic cases, and what is matched of them
    matching    pairs that are alike in all but where the lesion comes from
    items       crops around lesions, all written in one way
    sealing     the key: who it is that is real, committed to before the first read
    building    a study: items, commitments, database; the key elsewhere
    studies     a study on disk
    order       in which order a reader sees what, and what he sees again
    answering   answers, in the ledger of reviews
    analysing   answers and key -> the table and the report of a reader study
"""
