"""Numbers in, numbers with their uncertainty out. Knows nothing of CT, files or tables.

Every function that estimates returns an :class:`~scalemai.statistics.estimate.Estimate`, which
carries its interval, its n and its method, or the reason why there is none.
"""
