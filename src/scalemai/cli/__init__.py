"""The command line: a thin skin, one command to one function of the library."""
