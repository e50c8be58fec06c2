"""From scores to decisions and to probabilities that mean what they say.

::

    maps       a score of the network -> a probability: temperature, Platt, isotonic
    fitting    maps from validation cases
    choosing   which map, by log loss on patients that it was not fitted to
    error      expected calibration error, and the bins of a reliability diagram
    calibrate  operating points and maps of a detector from the tables of an evaluation
    files      what is kept beside the detector
    page       the same to look at
    applying   findings of a prediction with calibrated probabilities

The weights of the detector never change, nor do the scores of its predictions.
"""
