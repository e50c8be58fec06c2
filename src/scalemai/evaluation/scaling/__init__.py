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
power law with floor, 7 sizes, 3 draws and 300 patients, is 93 to 97 % for the floor, predictions,
slopes, gains, equivalent numbers of scans and plans. With the law chosen by AICc in the same data
it was 93.5 % (of 200 studies) for a prediction at twice the largest size, and 95 % for the range
over all plausible laws, which is why all of them are shown.
"""
