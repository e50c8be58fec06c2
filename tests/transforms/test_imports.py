"""Frameworks are imported by their own adapter only, and asked for by name if absent."""

from __future__ import annotations

import subprocess
import sys

import pytest

FRAMEWORKS = ("torch", "monai", "torchio", "batchgeneratorsv2")


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_core_imports_no_framework() -> None:
    done = run(
        "import sys, scalemai.transforms.patch, scalemai.transforms.nnunet_plans\n"
        f"print([name for name in {FRAMEWORKS} if name in sys.modules])"
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("adapter", "missing", "extra"),
    [
        ("monai", "monai", "monai"),
        ("torchio", "torchio", "torchio"),
        ("batchgenerators", "batchgeneratorsv2", "nnunet"),
        ("tensors", "torch", "monai"),
    ],
)
def test_a_missing_framework_is_named_with_the_extra_to_install(
    adapter: str, missing: str, extra: str
) -> None:
    done = run(
        f"import sys; sys.modules[{missing!r}] = None\n"
        f"try:\n    import scalemai.transforms.{adapter}\n"
        "except ImportError as error:\n    print(type(error).__name__, error)"
    )
    assert done.stdout.startswith("MissingExtraError"), done.stderr
    assert f"scalemai[{extra}]" in done.stdout
    assert done.stdout.count("\n") == 1
