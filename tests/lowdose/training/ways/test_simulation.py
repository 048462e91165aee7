import numpy as np
import pytest

from lowdose.errors import InputError, ParameterError
from lowdose.simulation.dataset import open_sample


def config(**changes):
    return {"way": "simulation", **changes}


def test_the_noise_is_poisson_of_the_changed_image(open_way):
    way = open_way(config(), patch=64)
    for seed in range(5):
        example = way.example(np.random.default_rng(seed))
        assert example.noisy.shape == (1, 64, 64)
        assert example.target.min() >= 0
        error = np.mean((example.noisy[0] - example.target) ** 2)
        assert error == pytest.approx(example.target.mean(), rel=0.1)
        assert example.measures["known"] == 1


def test_the_dose_is_a_log_uniform_multiple_of_that_of_the_set(open_way):
    way = open_way(config(dose_min=1.0, dose_max=100.0), patch=32)
    vacuum = open_sample().vacuum
    doses = np.log10(
        [
            way.example(np.random.default_rng(n)).target.mean() / vacuum
            for n in range(150)
        ]
    )
    assert -0.2 < doses.min() < 0.2
    assert 1.7 < doses.max() < 2.2
    assert np.mean(doses) == pytest.approx(1, abs=0.2)


def test_without_changes_crops_are_those_of_the_set(open_way):
    way = open_way(config(scale_min=1.0, scale_max=1.0, rotation=0.0), patch=128)
    target = way.example(np.random.default_rng(0)).target
    images = np.stack(list(open_sample()))
    assert np.isin(target, images).all()


def specimens(source):
    return [set(part.specimens.tolist()) for part in (source.learnt, source.held)]


def test_no_specimen_is_both_learnt_from_and_validated(open_way):
    learnt, held = specimens(open_way(config(), patch=32)._sources[0].of)
    assert learnt
    assert held
    assert not learnt & held
    assert learnt | held == set(open_sample().specimens.tolist())


def test_a_network_that_goes_on_is_validated_on_what_the_first_has_not_seen(open_way):
    first, second = (open_way(config(), patch=32, seed=n) for n in (1, 2))
    assert specimens(first._sources[0].of) == specimens(second._sources[0].of)


def test_a_detector_takes_the_place_of_perfect_counting(open_way):
    way = open_way(config(detector="scintillator", dose_min=50.0, dose_max=50.0))
    example = way.example(np.random.default_rng(0))
    assert example.measures["known"] == 0


def test_what_a_detector_reads_is_about_the_target_in_its_counts(open_way):
    way = open_way(config(detector="scan", dose_min=500.0, dose_max=500.0), patch=64)
    example = way.example(np.random.default_rng(0))
    # The gain is 10 and the offset 50; the dose is that of the recipe.
    assert example.target.mean() == pytest.approx(50 + 10 * 500 * 0.45, rel=0.2)
    assert example.noisy.mean() == pytest.approx(example.target.mean(), rel=0.02)


def test_a_beam_profile_is_undone_by_the_target_or_kept_in_it(open_way):
    given = {"detector": "em-graphene", "dose_min": 5e4, "dose_max": 5e4}
    ratios = []
    for even in (True, False):
        way = open_way(config(even=even, **given), patch=64)
        example = way.example(np.random.default_rng(0))
        alive = example.noisy[0] > 0
        ratios.append((example.noisy[0] / example.target)[alive])
    assert ratios[0].std() > 0.05  # dark towards the corners
    assert ratios[1].std() < 0.02
    assert ratios[1].mean() == pytest.approx(1, abs=0.01)


def test_a_share_of_the_examples_is_recorded_by_the_detector(open_way):
    way = open_way(config(detector="own", detected=0.0), patch=32)
    assert way.example(np.random.default_rng(0)).measures["known"] == 1
    way = open_way(config(detector="scan", detected=0.5), patch=32)
    known = [way.example(np.random.default_rng(n)).measures["known"] for n in range(40)]
    assert 10 <= sum(known) <= 30


def test_all_scores_with_truth_are_given(open_way):
    way = open_way(config(), patch=32)
    found = way.validate(lambda frames, _: frames[:, 0])
    assert found.keys() == {"gain_dB", "psnr_dB", "psnr_sbd_dB", "ssim"}
    assert found["gain_dB"] == pytest.approx(0)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"dataset": "none.h5"}, InputError, "none.h5"),
        ({"conditions": {"thicknes": [3, 4]}}, ParameterError, "thickness"),
        ({"conditions": {"specimen": 0}}, ParameterError, "two specimens are needed"),
        ({"detector": "eye"}, ParameterError, "no detector 'eye'"),
        ({"dose_min": 3.0, "dose_max": 2.0}, ParameterError, "dose_min=3.0"),
    ],
)
def test_a_set_that_cannot_be_used_is_refused(open_way, changes, error, message):
    with pytest.raises(error, match=message):
        open_way(config(**changes))


def test_a_patch_that_does_not_fit_after_turning_is_refused(open_way):
    with pytest.raises(ParameterError, match=r"needs \d+ px of an image before"):
        open_way(config(), patch=160)
