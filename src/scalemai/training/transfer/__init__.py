"""Start from weights that somebody has trained, and say exactly what was taken over.

::

    file --load_foreign--> ForeignCheckpoint --match_keys--> MatchReport --start_from--> Start
                                |
                            recognise: which network it is

    pickles     numbers out of a PyTorch file; code in it is never run
    containers  where in what was read the network is
    foreign     safetensors, detectors, PyTorch files, folders of nnU-Net and MONAI
    recognise   network and parameters from names and shapes
    layers      which layers see the image, make the classes, belong to the decoder
    layouts     the same networks under the names of other frameworks
    renaming    prefixes of wrappers
    matching    each tensor: loaded, adapted, of another shape, new
    report      the same as JSON and as text
    groups      parameters by how fast they may change, and how far
    start       first weights and learning rates of a training
    run         a training with a start
    few_shot    learning curves: with transfer and from scratch; ``few_shot_summary``, over draws

Tensors are matched by name and shape, never by position.
"""
