"""Scaling laws: what more training scans give, real or synthetic, and how sure that is.

::

    measurements  the table: numbers of scans, draws, seeds, test cases
    laws          power law with floor, exponential, logarithmic, pure and broken power
    fitting       weighted least squares, for many resamples at once
    resampling    other patients, draws and seeds
    study         means of all arms with their resamples
    selection     AICc, and the largest size held out
    plateau       where the gain that is left is surely small
    equivalence   what a synthetic scan is worth in real ones
    planning      predictions, and how many more scans a gain takes
    question · analysis   all of that for each group
    rows · files · page   what is written

The intervals take the fitted law for granted. Simulated coverage of nominal 95 % intervals, with a
power law with floor, 7 sizes, 3 seeds and 300 patients, is 93 to 96 % for the floor, predictions,
slopes, gains, equivalent numbers of scans and plans; the choice between laws is not within them,
so every plausible law is shown.
"""
