"""What a review refuses: work that somebody else holds, or that was done on an older mask.

::

    ConfigError
    └─ RefusedError          the request does not fit the state of the review
       ├─ LeaseLostError     somebody else holds the read now, or nobody
       ├─ StaleRevisionError the mask has changed since it was shown
       └─ ConflictError      an event with this id is in the ledger with other content
"""

from __future__ import annotations

from scalemai.errors import ConfigError

__all__ = ["ConflictError", "LeaseLostError", "RefusedError", "StaleRevisionError"]


class RefusedError(ConfigError):
    """The request does not fit the state of the review; nothing was changed."""


class LeaseLostError(RefusedError):
    """The read is not held by who asks."""


class StaleRevisionError(RefusedError):
    """The mask is at another revision than the request says.

    Parameters
    ----------
    revision
        The one that it is at.
    read_id
        The read.
    """

    def __init__(self, revision: int, *, read_id: str) -> None:
        self.revision = revision
        fix = "load it again"
        super().__init__(f"the mask is at revision {revision} by now", where=read_id, fix=fix)


class ConflictError(RefusedError):
    """An event with this id is in the ledger, and is another one."""
