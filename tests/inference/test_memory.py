"""A scan of 512 x 512 x 1,000 voxels is looked at in bounded memory, organ known or not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="detectors need torch")
pytest.importorskip("monai", reason="networks are MONAI's")

GIB = 1 << 30
BOUND_BYTES = 6 * GIB

PROGRAM = """
import json, resource, sys
from pathlib import Path
import numpy as np
from scalemai.case import Case
from scalemai.geometry import Grid
from scalemai.masks import MaskSource
from scalemai.volume import Mask, Volume
from scalemai.io.nifti import write_mask, write_volume
from scalemai.detector.files import Detector
from scalemai.detector.network import build_network
from scalemai.detector.spec import DetectorSpec, NetworkSpec, Preprocessing
from scalemai.inference.files import write_prediction
from scalemai.inference.predict import predict_case
from scalemai.inference.settings import Runtime, Settings

folder, organ, whole = Path(sys.argv[1]), sys.argv[2] == "organ", sys.argv[3] == "whole"
threshold = float(sys.argv[4])
shape = (512, 512, 1000)
affine = np.diag([-0.8, -0.8, 1.0, 1.0])
grid = Grid(shape, affine)
stored = np.full(shape, -1000, np.int16, order="F")
stored[60:450, 100:410, :] = 60
stored[200:230, 200:230, 480:520] = 10
write_volume(folder / "c" / "ct.nii.gz", Volume(stored, grid))
sources = {}
if organ:
    inside = np.zeros(shape, np.bool_, order="F")
    inside[120:330, 140:330, 400:620] = True
    write_mask(folder / "c" / "liver.nii.gz", Mask(inside, grid, "liver"))
    sources = {"liver": MaskSource(folder / "c" / "liver.nii.gz")}
    del inside
del stored
case = Case("c", folder / "c" / "ct.nii.gz", sources)
spec = DetectorSpec(
    organ="liver",
    classes=("hcc", "metastasis", "cyst"),
    preprocessing=Preprocessing(spacing_mm=(1.5, 1.5, 1.5), organ_channel=organ),
    network=NetworkSpec("unet", {"channels": [4, 8], "strides": [2]}),
    patch=(96, 96, 96),
)
detector = Detector(spec, build_network(spec).eval())
settings = Settings(whole_scan=whole, overlap=0.0, threshold=threshold)
found = predict_case(detector, case, settings, Runtime(device="cpu", threads=1))
write_prediction(found, folder / "out")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"peak": peak, "windows": found.provenance["windows"]}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted in kB on Linux")
@pytest.mark.parametrize(
    "how",
    [
        ("organ", "region", "0.999"),
        ("organ", "whole", "0.999"),
        ("none", "whole", "0.01"),  # an untrained network then calls the whole scan a lesion
    ],
)
def test_a_large_scan_stays_under_six_gibibytes(tmp_path: Path, how: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), *how],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["peak"] < BOUND_BYTES, f"{told['peak'] / GIB:.2f} GiB"
