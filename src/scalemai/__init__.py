"""ScaleMAI: grow realistic tumors in CT, with exact masks and a recipe that reproduces them.

The names below are loaded on first use, so that importing the package costs nothing.
"""

import lazy_loader

from scalemai._version import __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
