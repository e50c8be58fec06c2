"""nnU-Net v2 as an engine: our cases and our tumors in its pipeline.

::

    cases --export--> raw data set --plan--> preprocessed --train--> model --predict--> masks
    real, synthetic   labels, folds          fixed window    tumors on the fly

    labels       which value each structure has, as labels or as regions
    label_map    the label map of one case: what overlaps, what nobody verified
    export       many cases, resumable; dataset.json
    splits       folds that keep the scans of a patient together
    plans        a fixed window of HU, and a configuration for machines without a GPU
    settings     what is put in on the fly, as JSON beside the plans
    transform    the synthesizer as the first transform of the trainer
    loader       batches that follow from seed, worker and number
    trainer      the trainer, which needs nnU-Net
    launch       planning and training in this process
    predict      masks by trained models, on the grids of the scans

Everything above ``transform`` works without nnU-Net and without torch. nnU-Net reads its folders
from environment variables; :mod:`~scalemai.training.nnunet.folders` sets them for a while.
"""
