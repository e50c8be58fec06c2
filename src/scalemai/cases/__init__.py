"""Cases: one CT with all that is known about it, read, listed and made.

The names are loaded on first use: polars takes long to import, and making phantoms or working on
one :class:`~scalemai.case.Case` does not need it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
