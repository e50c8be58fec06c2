"""What a detector is: what it looks for, how a scan is prepared for it, its network, its files.

::

    spec            in plain data, no torch: organ, classes, preprocessing, network
    preprocessing   a scan as the network sees it, and the way back to the scan's own grid
    organ_mask      the organ's mask as the network is shown it: holes and bites closed
    network         the network of a spec (torch)
    files           a folder: detector.json, weights.safetensors, card.md

Training writes detectors, inference reads them, and both prepare scans by the same code.
"""
