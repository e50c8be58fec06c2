"""Pictures of lesions: three planes through each, and a closer look with and without its outline.

The patient's right is on the left of a picture and the head is up, as on a workstation. Pictures
are drawn from the voxels at hand and hold no time and no name of a program: the same input gives
the same bytes.
"""

from scalemai.preview.pictures import MontageRow, preview_case, write_montage, write_preview
from scalemai.preview.windows import WINDOWS, Window

__all__ = ["WINDOWS", "MontageRow", "Window", "preview_case", "write_montage", "write_preview"]
