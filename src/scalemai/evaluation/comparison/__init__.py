"""Several algorithms on the same cases: who is better, by how much, and how sure is that.

::

    locating      which files hold the results of which algorithm
    published     a CSV with a name column and one column per class, as benchmarks ship them
    own_tables    the tables that an evaluation of ours wrote
    patients      which scans are of one patient, where the results do not say
    alignment     pairing by name; what is missing, and what is done about it
    coverage      which cases a comparison rests on
    scale         percent or fraction, higher or lower
    pairs         tests of all pairs of algorithms
    ranking       places, and how much they owe to the patients at hand
    agreement     do two metrics rank alike?
    question · comparing    all of that for each class and over the classes
    detectors     rows of detectors, paired by name
    detection_pairs · detection   areas, sensitivity and specificity of detectors
    files · page  what is written
"""
