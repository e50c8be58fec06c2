"""From one score a scan to sensitivity, specificity and AUROC of patients.

::

    scores            a probability map or candidates -> one score
    one_mm            resampling to 1 mm, as the presets need it
    presets           the published rules of RadGPT and R-Super, by name
    rows              the table `patients`, a row per case or per patient
    rules             Youden, target specificity or sensitivity, false positives per scan
    operating_point   a threshold chosen on validation cases, in a file, locked
    threshold         where a threshold comes from: locked, fixed beforehand, or tuned
    performance       sensitivity, specificity, PPV, NPV, F1, balanced accuracy, AUROC
    definitions       what each of these numbers means

A threshold is either given by the caller with its reason, or chosen by
:func:`~scalemai.evaluation.patients.operating_point.choose_operating_point` on validation cases;
nothing here chooses one on the cases that are evaluated.
"""
