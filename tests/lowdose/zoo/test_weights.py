import pickle

import pytest
import torch

from lowdose import zoo
from lowdose.errors import WeightsError


def edit_card(folder, old, new):
    card = folder / "card.toml"
    text = card.read_text()
    assert old in text
    card.write_text(text.replace(old, new))


def test_weights_that_were_changed_are_refused(make_model, tmp_path):
    folder = make_model(tmp_path / "m")
    path = folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="is not the file that its card describes"):
        zoo.load_model(folder)


def test_weights_that_were_cut_short_are_refused(make_model, tmp_path):
    folder = make_model(tmp_path / "m")
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="damaged, cut short or exchanged"):
        zoo.load_model(folder)


def test_missing_weights_are_named(make_model, tmp_path):
    folder = make_model(tmp_path / "m")
    (folder / "weights.safetensors").unlink()
    with pytest.raises(WeightsError, match="The weights are missing"):
        zoo.load_model(folder)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("A pickle was opened.",))


@pytest.mark.parametrize("write", [pickle.dump, torch.save])
def test_a_pickle_is_refused_and_never_opened(make_model, tmp_path, write):
    folder = make_model(tmp_path / "m")
    with (folder / "weights.safetensors").open("wb") as file:
        write(Bomb(), file)
    with pytest.raises(WeightsError, match="is a pickle"):
        zoo.load_model(folder)


def test_a_file_that_is_no_safetensors_is_refused(make_model, tmp_path):
    import hashlib

    folder = make_model(tmp_path / "m")
    old = zoo.read_card(folder).sha256
    (folder / "weights.safetensors").write_bytes(b"x" * 64)
    edit_card(folder, old, hashlib.sha256(b"x" * 64).hexdigest())
    with pytest.raises(WeightsError, match="not a sound safetensors file"):
        zoo.load_model(folder)


def test_weights_of_another_network_are_refused(make_model, tmp_path):
    folder = make_model(tmp_path / "m")
    edit_card(folder, "base = 4", "base = 8")
    with pytest.raises(WeightsError, match="do not fit its network"):
        zoo.load_model(folder)


def test_a_card_that_asks_for_a_huge_network_allocates_nothing(make_model, tmp_path):
    folder = make_model(tmp_path / "m")
    edit_card(folder, "base = 4", "base = 1000000")
    with pytest.raises(WeightsError, match="do not fit its network"):
        zoo.load_model(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("format = 1", "format = 2", "format=2 is not 1"),
        ('name = "tiny"', 'name = "../../etc"', "must be letters"),
        ('name = "tiny"', "name = 3", "name=3 must be of type str"),
        ('architecture = "unet2"', 'architecture = "os"', "is not known"),
        ('sha256 = "', 'sha256 = "zz', "is not 64 hexadecimal digits"),
        ("multiple = 4", "multiple = 0", "multiple=0 must lie between"),
        ("multiple = 4", "multiple = 99999999", "multiple=99999999 must lie between"),
        ("halo = ", "halo = -1 #", "halo=-1 must lie between"),
        ("scales = 2", 'scales = "2"', "not of type int"),
        ("scales = 2", "scales = 5", "scales=5 is not built"),
        ("[options]", "[choices]", "'options' is missing"),
    ],
)
def test_a_card_with_a_wrong_entry_is_refused(make_model, tmp_path, old, new, message):
    folder = make_model(tmp_path / "m")
    edit_card(folder, old, new)
    with pytest.raises(WeightsError, match=message):
        zoo.load_model(folder)


def test_a_huge_card_is_not_read(make_model, tmp_path):
    folder = make_model(tmp_path / "m")
    with (folder / "card.toml").open("a") as file:
        file.write("#" * 1_100_000)
    with pytest.raises(WeightsError, match="longer than"):
        zoo.load_model(folder)


def test_weights_kept_in_half_precision_are_float32_in_use(make_model, tmp_path):
    import numpy as np

    whole, half = make_model(tmp_path / "a"), make_model(tmp_path / "b", halved=True)
    sizes = [(f / "weights.safetensors").stat().st_size for f in (whole, half)]
    assert sizes[1] < 0.75 * sizes[0]  # the header stays as it is
    counts = np.random.default_rng(0).poisson(5, (1, 1, 32, 32)).astype(np.float32)
    results = []
    for folder in (whole, half):
        denoiser = zoo.load_model(folder)
        assert all(p.dtype == torch.float32 for p in denoiser._network.parameters())
        results.append(
            denoiser.denoise_patches(counts, [denoiser.measure(counts[0, 0])])
        )
    assert 0 < np.abs(results[1] - results[0]).max() < 0.01 * counts.std()


def test_weights_too_large_for_half_precision_are_refused(tmp_path):
    from lowdose.errors import ParameterError
    from lowdose.zoo.package import save_model

    network = torch.nn.Linear(1, 1)
    with torch.no_grad():
        network.weight.fill_(1e6)
    with pytest.raises(ParameterError, match="weight has weights of up to 1e\\+06"):
        save_model(
            tmp_path / "m",
            network,
            name="m",
            title="",
            summary="",
            licence="CC0-1.0",
            architecture="unet2",
            options={},
            training={},
            halved=True,
        )
    assert not (tmp_path / "m" / "card.toml").exists()
