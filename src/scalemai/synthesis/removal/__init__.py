"""Lesions that are there, taken out or back in time: normal tissue in their place."""
