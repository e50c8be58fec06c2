"""Windows give what one pass over everything gives, in bounded memory and without idle work."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="detectors need torch")
monai = pytest.importorskip("monai", reason="windows are weighted by MONAI")

from monai.inferers import SlidingWindowInferer  # noqa: E402
from torch import nn  # noqa: E402

from scalemai.detector.network import build_network  # noqa: E402
from scalemai.detector.preprocessing import Prepared, channels_of, whole  # noqa: E402
from scalemai.geometry import Grid  # noqa: E402
from scalemai.inference.settings import Runtime, Settings  # noqa: E402
from scalemai.inference.windows import plan_windows, predict_prepared  # noqa: E402

from .hosts import detector, threshold_network  # noqa: E402

RUNTIME = Runtime(device="cpu", threads=1)
ALL = Settings(reach_mm=500.0)


def region(
    shape: tuple[int, int, int], organ: np.ndarray | None = None, step_mm: float = 1.5
) -> Prepared:
    """A region of noise on its own lattice."""
    hu = np.random.default_rng(1).normal(80.0, 60.0, shape).astype(np.float32)
    grid = Grid(shape, np.diag([step_mm, step_mm, step_mm, 1.0]))
    inside = np.ones(shape, np.bool_) if organ is None else organ
    return Prepared(hu, inside, None, grid, grid, whole(grid))


def one_pass(network: nn.Module, prepared: Prepared, preprocessing) -> np.ndarray:
    seen = torch.from_numpy(channels_of(prepared.hu, prepared.organ, preprocessing))
    with torch.no_grad():
        return torch.softmax(network(seen[None]), dim=1)[0].numpy()


@pytest.mark.parametrize(
    ("shape", "overlap"),
    [((50, 70, 41), 0.25), ((50, 40, 97), 0.0), ((90, 33, 40), 0.6), ((32, 32, 32), 0.25)],
)
def test_a_local_network_sees_the_same_in_windows_as_in_one_pass(shape, overlap) -> None:
    one = detector(classes=["hcc", "metastasis"])
    prepared = region(shape)
    found = predict_prepared(one, prepared, Settings(overlap=overlap, reach_mm=500.0), RUNTIME)
    expected = one_pass(one.network, prepared, one.spec.preprocessing)
    assert found.dtype == np.float32
    assert found.shape == (3, *shape)
    assert np.abs(found - expected).max() < 1e-5
    assert np.abs(found.sum(axis=0) - 1.0).max() < 1e-5


@pytest.mark.parametrize("shape", [(20, 50, 40), (50, 20, 20), (9, 11, 7)])
def test_regions_smaller_than_a_window_are_padded_and_cut_again(shape) -> None:
    one = detector(classes=["hcc"])
    prepared = region(shape)
    found = predict_prepared(one, prepared, ALL, RUNTIME)
    expected = one_pass(one.network, prepared, one.spec.preprocessing)
    assert found.shape == (2, *shape)
    assert np.abs(found - expected).max() < 1e-5


def test_a_network_with_a_field_of_view_agrees_with_monai_s_inferer() -> None:
    # Windows at the same places: one step along each axis, as lengths are chosen.
    spec = detector(name="unet").spec
    network = build_network(spec, seed=4).eval()
    prepared = region((56, 56, 56))
    found = predict_prepared(detector(network=network, name="unet"), prepared, ALL, RUNTIME)
    seen = torch.from_numpy(channels_of(prepared.hu, prepared.organ, spec.preprocessing))
    inferer = SlidingWindowInferer((32, 32, 32), 1, 0.25, mode="gaussian", sigma_scale=0.125)
    with torch.no_grad():
        expected = inferer(seen[None], lambda window: torch.softmax(network(window), dim=1))[0]
    assert np.abs(found - expected.numpy()).max() < 1e-5


def test_windows_without_organ_in_reach_are_skipped_and_background() -> None:
    organ = np.zeros((160, 64, 64), np.bool_)
    organ[10:40, 20:44, 20:44] = True
    prepared = region(organ.shape, organ)
    near, everything = Settings(reach_mm=6.0), ALL
    some = plan_windows(prepared, (32, 32, 32), near)
    many = len(plan_windows(prepared, (32, 32, 32), everything))
    assert len(some) < 0.5 * many
    asked = Settings(reach_mm=6.0, whole_scan=True)
    assert len(plan_windows(prepared, (32, 32, 32), asked)) == many
    one = detector(organ_channel=False, classes=["hcc"])
    found = predict_prepared(one, prepared, near, RUNTIME)
    full = predict_prepared(one, prepared, everything, RUNTIME)
    assert np.abs((found - full)[:, some.near]).max() < 1e-5
    assert (found[0, ~some.near] == 1.0).all()
    assert (found[1:, ~some.near] == 0.0).all()
    assert some.near[4:46, 20:44, 20:44].sum() > organ.sum()
    assert not some.near[45:].any()  # 5 voxels of 1.5 mm beyond the last of the organ


def test_flips_average_all_eight_mirror_images() -> None:
    class Lopsided(nn.Module):
        """Sure of a lesion in the lower half of each window along every axis, by parts."""

        def forward(self, seen: torch.Tensor) -> torch.Tensor:
            ramp = sum(
                torch.linspace(-4.0, 4.0, n).reshape([-1 if a == d else 1 for a in range(3)])
                for d, n in enumerate(seen.shape[2:])
            )
            lesion = ramp.expand(seen.shape[0], 1, *seen.shape[2:])
            return torch.cat([torch.zeros_like(lesion), lesion], dim=1)

    one = detector(network=Lopsided(), classes=["hcc"])
    prepared = region((32, 32, 32))
    plain = predict_prepared(one, prepared, ALL, RUNTIME)[1]
    both = predict_prepared(one, prepared, Settings(flips=True, reach_mm=500.0), RUNTIME)[1]
    axes = [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
    expected = np.mean([np.flip(plain, a) for a in axes], axis=0)
    assert np.abs(both - expected).max() < 1e-5
    assert np.abs(plain - expected).max() > 0.1


def test_batches_of_windows_change_nothing_but_the_last_digits() -> None:
    one = detector(classes=["hcc"])
    prepared = region((70, 60, 50))
    found = [
        predict_prepared(one, prepared, ALL, Runtime(device="cpu", threads=1, batch=n))
        for n in (1, 3)
    ]
    assert np.abs(found[0] - found[1]).max() < 1e-6


def test_bfloat16_stays_close_and_the_network_stays_as_it_was() -> None:
    network = threshold_network()
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    threads = torch.get_num_threads()
    prepared = region((40, 40, 40))
    full = predict_prepared(detector(network=network), prepared, ALL, Runtime("cpu", threads=1))
    half = predict_prepared(
        detector(network=network), prepared, ALL, Runtime("cpu", "bfloat16", threads=1)
    )
    assert ((full > 0.5) == (half > 0.5)).mean() > 0.97
    assert network.training
    assert torch.get_num_threads() == threads
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
        assert value.dtype == torch.float32
