import numpy as np
import pytest
import torch

from lowdose import zoo
from lowdose.errors import DeviceError, OutOfMemoryError, ParameterError
from lowdose.inference import DenoiseOptions, denoise
from lowdose.networks.reach import measure_halo
from lowdose.zoo.network_denoiser import NetworkDenoiser


@pytest.fixture
def model(make_model, tmp_path):
    return make_model(tmp_path / "m")


def apply(denoiser, frame):
    measures = denoiser.measure(frame)
    return denoiser.denoise_patches(frame[None, None], [measures])[0]


@pytest.fixture
def frame(rng):
    return rng.poisson(20, (64, 48)).astype(np.float32)


def test_blind_denoising_follows_any_gain_and_offset(model, frame):
    denoiser = zoo.load_model(model, noise="blind")
    plain = apply(denoiser, frame)
    changed = apply(denoiser, (7.5 * frame + 300).astype(np.float32))
    np.testing.assert_allclose(changed, 7.5 * plain + 300, rtol=1e-4)


def test_told_gain_and_offset_undo_themselves(model, frame):
    plain = apply(zoo.load_model(model, noise="counts"), frame)
    told = zoo.load_model(model, noise="counts", gain=7.5, offset=300)
    changed = apply(told, (7.5 * frame + 300).astype(np.float32))
    np.testing.assert_allclose(changed, 7.5 * plain + 300, rtol=1e-4)


def test_counts_are_recognised_and_other_numbers_are_not(model, frame):
    denoiser = zoo.load_model(model)
    assert denoiser.measure(frame)["known"] == 1
    assert denoiser.measure(3 * frame)["known"] == 0


def test_a_constant_frame_stays_finite(model):
    for level in (0, 5):
        flat = np.full((32, 32), level, np.float32)
        assert np.isfinite(apply(zoo.load_model(model), flat)).all()


@pytest.mark.parametrize("views", ["1", "2", "4", "8"])
def test_averaged_views_keep_the_frame_in_place(model, frame, views):
    denoiser = zoo.load_model(model, views=views)
    # A network that returns its input: every view must come back as it was.
    denoiser._network = torch.nn.Module()
    denoiser._network.forward = lambda x: x[:, :1]
    np.testing.assert_allclose(apply(denoiser, frame), frame, rtol=1e-5)


def test_eight_views_commute_with_mirroring(model, frame):
    denoiser = zoo.load_model(model, views="8")
    mirrored = apply(denoiser, np.ascontiguousarray(frame[:, ::-1]))
    np.testing.assert_allclose(mirrored[:, ::-1], apply(denoiser, frame), rtol=1e-3)


def test_the_halo_on_the_card_is_the_measured_one(model):
    denoiser = zoo.load_model(model)
    card = zoo.read_card(model)
    assert denoiser.needs.halo == card.halo
    assert card.halo == measure_halo(
        denoiser._network, multiple=card.multiple, channels=3
    )


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), OutOfMemoryError),
        (
            RuntimeError("DefaultCPUAllocator: not enough memory: you tried"),
            OutOfMemoryError,
        ),
        (RuntimeError("CUDA error: device-side assert"), DeviceError),
    ],
)
def test_errors_of_torch_become_ours(model, frame, raised, expected):
    def fail(_):
        raise raised

    denoiser = zoo.load_model(model)
    denoiser._network = torch.nn.Module()
    denoiser._network.forward = fail
    with pytest.raises(expected) as caught:
        apply(denoiser, frame)
    assert not isinstance(caught.value, RuntimeError)


def test_a_wrong_parameter_is_refused_before_the_weights_are_read(model):
    (model / "weights.safetensors").unlink()
    with pytest.raises(ParameterError, match="Did you mean 'views'"):
        zoo.load_model(model, view=2)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_tiles_of_several_frames_in_a_batch_get_what_each_gets_alone(rng, precision):
    denoiser = zoo.load_model("general")
    denoiser.place("cpu", precision)
    frames = [rng.poisson(dose, (64, 64)).astype(np.float32) for dose in (2, 50, 700)]
    measures = [denoiser.measure(frame) for frame in frames]
    order = [0, 0, 2, 1, 1, 2]
    together = denoiser.denoise_patches(
        np.stack([frames[n][None] for n in order]), [measures[n] for n in order]
    )
    for result, number in zip(together, order, strict=True):
        alone = denoiser.denoise_patches(frames[number][None, None], [measures[number]])
        # Another number of images can be another order of sums.
        digits = {"float32": 1e-5, "bfloat16": 0.02}[precision]
        np.testing.assert_allclose(result, alone[0], rtol=digits)


def test_patches_may_be_read_only_and_stay_as_they_are(model, frame):
    denoiser = zoo.load_model(model)
    kept = frame.copy()
    wanted = apply(denoiser, frame)
    frame.setflags(write=False)
    np.testing.assert_array_equal(apply(denoiser, frame), wanted)
    np.testing.assert_array_equal(
        apply(denoiser, frame[::-1]), apply(denoiser, kept[::-1].copy())
    )
    np.testing.assert_array_equal(frame, kept)


def test_counts_on_a_large_offset_keep_their_last_digits(model, rng):
    denoiser = zoo.load_model(model, noise="blind")
    frame = rng.poisson(20, (64, 48)).astype(np.float32)
    plain = apply(denoiser, frame)
    # At this offset float32 resolves an eighth of a count.
    shifted = apply(denoiser, frame + np.float32(2**20))
    np.testing.assert_allclose(shifted - np.float32(2**20), plain, atol=0.2)


def test_bfloat16_is_close_to_float32(model, frame):
    exact, quick = (zoo.load_model(model) for _ in range(2))
    quick.place("cpu", "bfloat16")
    assert isinstance(quick, NetworkDenoiser)
    difference = apply(quick, frame) - apply(exact, frame)
    assert np.abs(difference).mean() < 0.05 * frame.std()


@pytest.mark.gpu
def test_the_gpu_computes_what_the_cpu_does(model, frame):
    if not torch.cuda.is_available():
        pytest.skip("There is no CUDA device here.")
    cpu, gpu = (zoo.load_model(model) for _ in range(2))
    gpu.place("cuda", "float32")
    np.testing.assert_allclose(apply(gpu, frame), apply(cpu, frame), rtol=1e-3)


def test_a_run_that_asks_for_it_computes_through_the_compiler(
    model, frame, monkeypatch
):
    calls = []

    def compile_(network, *, mode):
        def run(x):
            calls.append((mode, tuple(x.shape)))
            return network(x)

        return run

    monkeypatch.setattr(torch, "compile", compile_)
    denoiser = zoo.load_model(model)
    plain = denoise(frame, denoiser, options=DenoiseOptions(device="cpu")).data
    assert not calls
    options = DenoiseOptions(device="cpu", compile=True)
    np.testing.assert_array_equal(denoise(frame, denoiser, options=options).data, plain)
    assert calls
    assert {mode for mode, _ in calls} == {None}  # CUDA graphs are for CUDA
    calls.clear()
    denoise(frame, denoiser, options=DenoiseOptions(device="cpu"))
    assert not calls  # the next run, which did not ask, goes without


def test_a_compiler_that_fails_is_an_error_of_ours(model, frame, monkeypatch):
    def compile_(network, *, mode):
        def run(x):
            raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found")

        return run

    monkeypatch.setattr(torch, "compile", compile_)
    options = DenoiseOptions(device="cpu", compile=True)
    with pytest.raises(DeviceError, match=r"No working C\+\+ compiler"):
        denoise(frame, zoo.load_model(model), options=options)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_graphs_give_the_pixels_of_a_plain_run(model, frame):
    denoiser = zoo.load_model(model)
    plain = denoise(frame, denoiser, options=DenoiseOptions(device="cuda")).data
    options = DenoiseOptions(device="cuda", compile=True)
    compiled = denoise(frame, denoiser, options=options).data
    np.testing.assert_allclose(compiled, plain, rtol=1e-2, atol=1e-2)
