"""Chromium, and a review that is served to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

for needed in ("fastapi", "uvicorn", "sqlalchemy", "playwright"):
    pytest.importorskip(needed)

if TYPE_CHECKING:
    from .desk import Desk
    from .scans import Scan

Serving = Callable[..., "Desk"]


@pytest.fixture
def serving(chromium: Any, tmp_path: Path) -> Iterator[Serving]:
    """Call it with scans and rules of the protocol for a desk."""
    from .desk import Desk, make_review, serve

    with ExitStack() as stack:

        def begin(scans: Mapping[str, Scan], **protocol: Any) -> Desk:
            review = make_review(tmp_path, scans, **protocol)
            engine, url, stop = serve(review)
            stack.callback(stop)
            desk = Desk(review, engine, url, chromium)
            stack.callback(desk.close)
            return desk

        yield begin
