"""What each tissue family promises: where growth starts and never goes, and what it looks like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from scalemai.anatomy import organ
from scalemai.geometry import Grid
from scalemai.synthesis.painting.noise_model import measure_noise
from scalemai.synthesis.spec import LesionSpec
from scalemai.synthesis.synthesize import Synthesis, synthesize_volume
from scalemai.volume import Mask, Volume

from ..conftest import Host, read_real_host

HOLLOW = ("esophagus", "stomach", "duodenum", "colon", "gall_bladder", "bladder")
FORMS = ("polypoid", "plaque", "annular")
GAS_HU, CONTRAST_HU = -150.0, 180.0


def tube_host(
    *, content_hu: float = 10.0, radius_mm: float = 16.0, wall_mm: float = 4.0, noise_hu: float = 10
) -> Host:
    """A straight bowel along z: wall of 60 HU round its content, in fat."""
    shape, spacing = (96, 96, 90), (0.8, 0.8, 1.0)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * s for n, s in zip(shape, spacing, strict=True)]
    grid = Grid(shape, affine)
    x, y, _ = np.moveaxis(grid.to_world(np.moveaxis(np.indices(shape), 0, -1)), -1, 0)
    r = np.hypot(x, y)
    hu = np.where(r <= radius_mm, 60.0, -100.0)
    hu[r <= radius_mm - wall_mm] = content_hu
    hu = ndimage.gaussian_filter(hu, (0.6, 0.6, 0.3))
    noise = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal(shape), 0.7)
    hu += noise * (noise_hu / noise.std())
    stored = np.asfortranarray(hu.round().astype(np.int16))
    mask = np.asfortranarray(r <= radius_mm)
    return Volume(stored, grid, metadata={"phase": "portal_venous"}), {
        "colon": Mask(mask, grid, "colon")
    }


def grown(host: Host, seed: int = 0, **spec: object) -> Synthesis:
    volume, masks = host
    return synthesize_volume(
        volume,
        masks,
        [LesionSpec(**spec)],
        case_id="family",
        seed=seed,  # type: ignore[arg-type]
    )


def in_wall(host: Host, name: str, made: Synthesis, thick_mm: float) -> float:
    """Share of the lesion within a distance of the organ's surface."""
    volume, masks = host
    inside = masks[name].array
    depth = ndimage.distance_transform_edt(inside, sampling=volume.grid.spacing_mm)
    lesion = made.labels == 1
    return float(np.mean(depth[lesion] <= thick_mm))


@pytest.mark.real
@pytest.mark.parametrize("name", ["colon", "stomach", "duodenum", "urinary_bladder"])
@pytest.mark.parametrize("form", FORMS)
def test_in_real_bowel_no_tumor_lies_in_gas_or_contrast_and_the_wall_bears_it(
    shared_data: Path, name: str, form: str
) -> None:
    volume, read = read_real_host(shared_data, "ts_example_3mm", (name,))
    masks = {organ(name).name: read[name]}
    name, host = organ(name).name, (volume, masks)
    before = volume.hu()
    kinds = [
        kind.name for kind in organ(name).kinds if form in {known.name for known in kind.forms}
    ]
    for seed, kind in enumerate(kinds * 2):
        made = grown(
            host, seed, organ=name, kind=kind, form=form, diameter_mm=(12, 30), mass_effect=False
        )
        lesion = made.labels == 1
        assert lesion.any()
        assert before[lesion].min() > GAS_HU
        assert before[lesion].max() < CONTRAST_HU
        assert made.volume.hu()[lesion].min() > GAS_HU
        # One piece that touches the wall: the outermost layer of the mask, or fat beyond it.
        assert ndimage.label(lesion, np.ones((3, 3, 3)))[1] == 1
        surface = masks[name].array & ~ndimage.binary_erosion(masks[name].array)
        assert (lesion & surface).any()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("content_hu", [-950.0, 400.0])
def test_gas_and_contrast_in_the_lumen_stay_as_they_are(form: str, content_hu: float) -> None:
    host = tube_host(content_hu=content_hu)
    made = grown(host, organ="colon", form=form, diameter_mm=(18, 18), mass_effect=False)
    before, after = host[0].hu(), made.volume.hu()
    content = before < GAS_HU if content_hu < 0 else before > CONTRAST_HU + 60.0
    assert np.array_equal(before[content], after[content])
    assert not (made.labels[content]).any()


def test_a_polyp_hangs_in_the_lumen_and_a_plaque_lies_in_the_wall() -> None:
    host = tube_host(content_hu=5.0)
    size = {"organ": "colon", "diameter_mm": (16, 16), "mass_effect": False}
    polyp = np.mean(
        [in_wall(host, "colon", grown(host, s, form="polypoid", **size), 5.0) for s in range(3)]
    )
    plaque = np.mean(
        [in_wall(host, "colon", grown(host, s, form="plaque", **size), 5.0) for s in range(3)]
    )
    assert polyp < 0.6 < 0.75 < plaque


def test_a_ring_goes_round_the_bowel_and_narrows_it() -> None:
    host = tube_host(content_hu=5.0, radius_mm=12.0)
    made = grown(host, organ="colon", form="annular", diameter_mm=(28, 28), mass_effect=False)
    volume, masks = host
    lesion = made.labels == 1
    x, y, _ = np.moveaxis(volume.grid.to_world(np.argwhere(lesion)), -1, 0)
    turned = np.unique(np.floor((np.degrees(np.arctan2(y, x)) + 180.0) / 30.0))
    assert len(turned) >= 11  # of twelve sectors
    lumen = masks["colon"].array & (host[0].hu() < 35.0)
    assert (lesion & lumen).any()


def lung_host(*, emphysema: bool = False) -> Host:
    """A lung of air and fine vessels beside a chest wall, with the noise of the scan."""
    shape, spacing = (110, 110, 60), (0.8, 0.8, 1.25)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * s for n, s in zip(shape, spacing, strict=True)]
    grid = Grid(shape, affine)
    x, y, _ = np.moveaxis(grid.to_world(np.moveaxis(np.indices(shape), 0, -1)), -1, 0)
    inside = np.hypot(x, y) <= 34.0
    rng = np.random.default_rng(3)
    air = -930.0 if emphysema else -840.0
    hu = np.where(inside, air, 45.0)
    vessels = ndimage.gaussian_filter(rng.standard_normal(shape), 1.8)
    hu[inside & (vessels > 3.0 * vessels.std())] = 20.0
    hu[np.hypot(x - 10.0, y) <= 1.6] = 20.0  # one vessel of 3 mm along the body
    hu = ndimage.gaussian_filter(hu, (0.7, 0.7, 0.4))
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), (0.8, 0.8, 0.3))
    hu += noise * (14.0 / noise.std())
    stored = np.asfortranarray(hu.round().astype(np.int16))
    return Volume(stored, grid), {"lung_left": Mask(np.asfortranarray(inside), grid, "lung_left")}


def test_a_solid_nodule_is_soft_tissue_with_the_noise_of_the_scan() -> None:
    host = lung_host()
    made = grown(
        host, organ="lung", form="solid", diameter_mm=(24, 24), uniform=True, mass_effect=False,
        margin="well-defined",
    )  # fmt: skip
    lesion = ndimage.binary_erosion(made.labels == 1, iterations=3)
    values = made.volume.hu()[lesion]
    assert -20.0 < np.median(values) < 120.0
    noise = measure_noise(made.volume.hu(), lesion, host[0].grid)
    assert noise.sd_hu == pytest.approx(14.0, rel=0.15)
    correlated = measure_noise(host[0].hu(), ~host[1]["lung_left"].array, host[0].grid)
    middle = tuple(n // 2 for n in correlated.autocorrelation.shape)
    for step in (0, 1), (1, 0), (0, 2):
        at = (middle[0] + step[0], middle[1] + step[1])
        assert noise.autocorrelation[at] == pytest.approx(correlated.autocorrelation[at], abs=0.12)


def test_ground_glass_is_a_veil_through_which_vessels_show() -> None:
    host = lung_host()
    made = grown(
        host, organ="lung", form="ground_glass", diameter_mm=(24, 24), at_mm=(8.0, 0.0, 0.0),
        mass_effect=False,
    )  # fmt: skip
    before, after = host[0].hu(), made.volume.hu()
    lesion = ndimage.binary_erosion(made.labels == 1, iterations=2)
    aerated, vessel = lesion & (before < -780.0), lesion & (before > -250.0)
    assert -780.0 < np.median(after[aerated]) < -400.0
    assert vessel.any()
    assert np.median(after[vessel] - before[vessel]) < 60.0


def test_a_part_solid_nodule_has_a_core_in_a_veil() -> None:
    host = lung_host()
    made = grown(host, organ="lung", form="part_solid", diameter_mm=(28, 28), mass_effect=False)
    lesion = made.labels == 1
    depth = ndimage.distance_transform_edt(lesion, sampling=host[0].grid.spacing_mm)
    after = made.volume.hu()
    rim, core = after[lesion & (depth < 3.0)], after[lesion & (depth > 0.85 * depth.max())]
    assert np.median(core) > -120.0
    assert -800.0 < np.median(rim) < -350.0


def test_spicules_reach_beyond_the_body_of_the_nodule() -> None:
    host = lung_host()
    solidity = {}
    for margin in ("well-defined", "spiculated"):
        made = grown(
            host, organ="lung", form="solid", diameter_mm=(28, 28), margin=margin, mass_effect=False
        )
        lesion = made.labels == 1
        x, y, z = (np.ptp(a) + 1 for a in np.nonzero(lesion))
        solidity[margin] = np.count_nonzero(lesion) / (x * y * z)
    assert solidity["spiculated"] < 0.75 * solidity["well-defined"]


def bone_host() -> Host:
    """A vertebral body: spongiosa of 180 HU in a cortex of 2 mm, in muscle."""
    shape, spacing = (80, 80, 60), (0.8, 0.8, 1.0)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * s for n, s in zip(shape, spacing, strict=True)]
    grid = Grid(shape, affine)
    x, y, z = np.moveaxis(grid.to_world(np.moveaxis(np.indices(shape), 0, -1)), -1, 0)
    depth = np.minimum(20.0 - np.hypot(x, y), 14.0 - np.abs(z))
    rng = np.random.default_rng(2)
    hu = np.where(depth > 0, 700.0, 55.0)
    trabeculae = ndimage.gaussian_filter(rng.standard_normal(shape), 1.0)
    hu[depth > 2.0] = 180.0 + 40.0 * (trabeculae / trabeculae.std())[depth > 2.0]
    hu = ndimage.gaussian_filter(hu, 0.5)
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), (0.8, 0.8, 0.3))
    hu += noise * (12.0 / noise.std())
    mask = np.asfortranarray(depth > 0)
    stored = np.asfortranarray(hu.round().astype(np.int16))
    return Volume(stored, grid), {"vertebrae_L3": Mask(mask, grid, "vertebrae_L3")}


def test_a_lytic_lesion_takes_bone_away_and_a_blastic_one_adds_it() -> None:
    host = bone_host()
    before = host[0].hu()
    lytic = grown(host, organ="bone", form="lytic", diameter_mm=(16, 16), mass_effect=False)
    inside = ndimage.binary_erosion(lytic.labels == 1)
    assert 10.0 < np.median(lytic.volume.hu()[inside]) < 120.0
    blastic = grown(host, organ="bone", form="blastic", diameter_mm=(16, 16), mass_effect=False)
    inside = ndimage.binary_erosion(blastic.labels == 1)
    assert np.median(blastic.volume.hu()[inside]) > 450.0
    assert (blastic.volume.hu() - before)[blastic.labels == 1].min() > -60.0


def test_a_lesion_that_leaves_the_bone_breaks_the_cortex() -> None:
    host = bone_host()
    made = grown(
        host, organ="bone", form="lytic", diameter_mm=(30, 30), at_mm=(14.0, 0.0, 0.0),
        exophytic=True, mass_effect=False,
    )  # fmt: skip
    before, after = host[0].hu(), made.volume.hu()
    mask = host[1]["vertebrae_L3"].array
    lesion = made.labels == 1
    cortex = lesion & (before > 500.0)
    assert cortex.sum() > 20
    assert np.median(after[cortex]) < 250.0
    assert (lesion & ~mask).any()
    # The bone's mask includes what has grown out of it.
    assert made.mask("vertebrae_L3").array[lesion].all()
