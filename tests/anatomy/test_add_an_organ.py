"""The page on adding an organ is true: its file, its package and its program work."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scalemai.anatomy import PHASES, organ_names, parse_organ
from scalemai.anatomy.organ_lookup import ORGANS_GROUP
from scalemai.errors import ConfigError
from scalemai.io.nifti import read_mask

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "add-an-organ.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
SPLEEN, PROJECT = (text for language, text in BLOCKS if language == "toml")
(PROGRAM,) = (text for language, text in BLOCKS if language == "python")
(COMMAND,) = (text for language, text in BLOCKS if language == "bash")


def install(folder: Path, organs: dict[str, str], value: str = "my_organs") -> None:
    """Lay out what pip makes of the page's project in a folder of the import path."""
    project = tomllib.loads(PROJECT)["project"]
    ((name, _),) = project["entry-points"][ORGANS_GROUP].items()
    package = folder / "my_organs"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for file, text in organs.items():
        (package / file).write_text(text, encoding="utf-8")
    info = folder / f"my_organs-{project['version']}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    points = f"[{ORGANS_GROUP}]\n{name} = {value}\n"
    (info / "entry_points.txt").write_text(points, encoding="utf-8")


def run(folder: Path, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, with the folder on its import path."""
    paths = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": paths},
    )


def refusal(folder: Path, program: str) -> str:
    """What a program says that catches our own errors, as the command does."""
    done = run(
        folder,
        "-c",
        "from scalemai.anatomy import organ, organ_names\n"
        "from scalemai.errors import ScaleMAIError\n"
        f"try:\n    {program}\nexcept ScaleMAIError as error:\n    print(error)",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_file_on_the_page_is_an_organ() -> None:
    spleen = parse_organ(SPLEEN, "spleen.toml")
    assert spleen.name == "spleen"
    assert spleen.kind_names == ("lymphoma", "cyst")
    for kind in spleen.kinds:
        for phase in PHASES:
            assert kind.hu[phase].mean_hu < spleen.parenchyma_hu[phase].mean_hu
            assert "arker than spleen" in kind.visibility[phase]


def test_the_mistake_on_the_page_is_answered_with_the_message_on_the_page() -> None:
    (shown,) = (text.strip() for language, text in BLOCKS if "use one of" in text)
    with pytest.raises(ConfigError) as caught:
        parse_organ(SPLEEN.replace('pattern = "rim"', 'pattern = "shell"'), "spleen.toml")
    assert str(caught.value) == shown


def test_the_program_on_the_page_grows_a_lymphoma_in_the_added_organ(tmp_path: Path) -> None:
    install(tmp_path, {"spleen.toml": SPLEEN})
    done = run(tmp_path, "-c", PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
    diameter, attenuation = (float(line.split()[0]) for line in done.stdout.splitlines())
    assert diameter == pytest.approx(18, abs=2.0)  # one voxel of the page's scan
    assert 50 < attenuation < 105  # between lymphoma and spleen, as its border is wide
    assert "spleen" not in organ_names()


@pytest.mark.slow
def test_the_command_on_the_page_grows_a_lymphoma_in_a_phantom(tmp_path: Path) -> None:
    install(tmp_path / "site", {"spleen.toml": SPLEEN})
    words = shlex.split(COMMAND)
    assert words[0] == "scalemai"
    done = run(tmp_path / "site", "-m", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (case,) = (path.parent for path in (tmp_path / "tumors").glob("*/synthesis.json"))
    lesion = read_mask(case / "segmentations" / "spleen_lesion.nii.gz")
    spleen = read_mask(case / "segmentations" / "spleen.nii.gz")
    assert 0.1 < lesion.volume_ml < 0.1 * spleen.volume_ml


def test_an_added_organ_stands_beside_those_of_the_package(tmp_path: Path) -> None:
    install(tmp_path, {"spleen.toml": SPLEEN})
    done = run(tmp_path, "-c", "import scalemai.anatomy as a; print(*a.organ_names())")
    assert done.stdout.split() == sorted([*organ_names(), "spleen"]), done.stderr


def test_a_mistake_in_an_added_organ_leaves_the_others_usable(tmp_path: Path) -> None:
    install(tmp_path, {"spleen.toml": SPLEEN.replace("sd_hu", "spread", 1)})
    assert refusal(tmp_path, "print(organ('liver').name)") == "liver"
    assert "spleen.toml: parenchyma_hu.non_contrast: 'sd_hu' is missing" in refusal(
        tmp_path, "organ('spleen')"
    )


@pytest.mark.parametrize(
    ("organs", "value", "message"),
    [
        (
            {"liver.toml": SPLEEN},
            "my_organs",
            "my_organs: the organ 'liver' has a file in scalemai already; remove one of the two",
        ),
        (
            {"milt.toml": SPLEEN},
            "my_organs",
            "my_organs: milt.toml: unknown structure 'milt'",
        ),
        (
            {"prostate.toml": SPLEEN},
            "my_organs",
            "prostate.toml: the name is 'spleen'; rename it spleen.toml",
        ),
        (
            {"spleen.toml": SPLEEN},
            "your_organs",
            "entry point scalemai.organs: mine = your_organs: the package with organs cannot be "
            "imported (No module named 'your_organs'); name a package that holds organ files",
        ),
    ],
)
def test_a_package_with_a_wrong_organ_is_named(
    tmp_path: Path, organs: dict[str, str], value: str, message: str
) -> None:
    install(tmp_path, organs, value)
    said = refusal(tmp_path, "organ('prostate')")
    assert message in said
    assert "\n" not in said
