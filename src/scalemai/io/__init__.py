"""Bytes to volumes and back: NIfTI, DICOM, and files that are whole or absent."""
