"""Could a detector learn a shortcut, traces of editing, instead of tumor?

::

    synthetic case ─┬─ edited patches ─┐
                    │                  ├─ features ─ classifier ─ AUC with CI ─┐
    its host ───────┴─ sham patches  ──┘                                       ├─ report
                       controls that must be told apart ───────────────────────┤
    coverage, duplicates, distance to real lesions ────────────────────────────┘
"""
