"""The reading room: people dispose of findings, edit masks and add what was missed, on record.

::

    data set + predictions -> review folder -> reads, leased -> events -> masks, tables, evidence
                              store/           database/        ledger    edits/, export/, evidence/

A viewer never owns geometry and never writes a mask: pages get crops of arrays and send back runs
of voxels; the server alone knows where in the patient they lie.
"""
