"""The working store: each case once as plain arrays, so that any crop is read in a millisecond."""
