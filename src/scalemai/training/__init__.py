"""From cases to detectors.

::

    cases --prepare_cases--> Cache --Patches--> patches with fresh lesions --train--> Detector

    classes      which value a lesion has in the labels
    parts        head, body, tail; sides; lobes; and the vessels in them
    preparing    one case on the detector's lattice: attenuation, labels, tissue
    cases        a prepared case on disk, memory-mapped
    cache        all of them: made once, resumable
    sampling     what a patch shows: balanced over sizes and places
    cutting      the box that a lesion grows in, and the patch cut from it
    patches      the torch data set of patches
    corruption   organ masks as segmentation gives them, not as they should be
    augment      other scanners, other doses, other ways to lie

    config       what decides a training; ``config_file`` reads it from TOML, ``presets`` has some
    material     which cases are learned from, and which are held out
    stream       patches in their order, from workers
    losses       Dice and cross-entropy without what nobody knows
    compute      devices, precision, threads
    fit, loop    a training; with ``checkpoint``, ``stopping``, ``log`` and ``estimate``
    validation   held-out patches on the way; ``scans``, whole ones at the end
    train        from cases to a detector and its ``card``

Only this package, ``inference``, ``detector`` and ``transforms`` know torch.
"""
