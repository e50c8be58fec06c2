"""Evidence on the readers and on the time that assistance saves."""
