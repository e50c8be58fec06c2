"""Where a detector errs, and which lesions it needs more of.

::

    results     the tables of an evaluation, with what is known of scans and patients
    factors     by what errors are told apart: size, site, kind, contrast, phase, scanner, ...
    cells       rates of one factor or several together, ranked by the errors in excess
    weaknesses  the distinct ones among them: what is left when the worst is taken away
    wanted      the population that asks for lesions like those that were missed
    analysis    all of that
    files · page   what is written
"""
