"""From masks to lesions found, missed and invented.

::

    components    26-connected components with all their sizes, centre and score
    rules         which candidate may count as a hit of which lesion
    matching      who hits whom: hits, misses, duplicates, false positives, what is ignored
    bins          size bins, with their borders declared
    rows          the tables `lesions` and `candidates`
    detections    both tables as arrays, checked, with every scan
    froc          sensitivity over false positives per scan, CPM
    sensitivity   sensitivity by size
    performance   precision, recall, F1, average precision, and everything together
    definitions   what each of these numbers means

Reference lesions below the reference filter are ignored: neither hit nor missed, and what was
predicted on them is no false positive.
"""
