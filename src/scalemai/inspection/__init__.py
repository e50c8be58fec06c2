"""What a file holds, and what is odd about it: NIfTI files, DICOM series, cases and data sets."""

from scalemai.inspection.files import inspect_file
from scalemai.inspection.report import FileReport, LabelReport

__all__ = ["FileReport", "LabelReport", "inspect_file"]
