from __future__ import annotations

import pytest
from npe2 import PluginManifest
from pydantic import ValidationError

from napari_lowdose import _settings
from napari_lowdose._settings import Settings, read_settings, use_models_folder


@pytest.fixture
def preferences(plugin_settings, npe2pm):
    """The plugin's part of napari's Preferences, kept in a temporary folder."""
    from napari.settings import get_plugin_settings

    if _settings.PLUGIN not in npe2pm:
        npe2pm.register(PluginManifest.from_distribution(_settings.PLUGIN))
    return get_plugin_settings(_settings.PLUGIN)


def test_untouched_preferences_are_the_defaults(preferences):
    assert read_settings() == Settings()


def test_what_the_user_sets_is_read(preferences):
    preferences.denoising.device = "cpu"
    preferences.denoising.tile = 512
    preferences.denoising.denoiser = "nl-means"
    assert read_settings() == Settings(denoiser="nl-means", device="cpu", tile=512)


@pytest.mark.parametrize(("name", "value"), [("tile", -1), ("device", "abacus")])
def test_napari_refuses_what_the_manifest_does_not_allow(preferences, name, value):
    with pytest.raises(ValidationError):
        setattr(preferences.denoising, name, value)


def test_without_the_plugin_in_naparis_list_the_defaults_are_used(
    plugin_settings, npe2pm
):
    assert _settings.PLUGIN not in npe2pm
    assert read_settings() == Settings()


def test_the_models_folder_is_told_to_the_catalogue(monkeypatch, tmp_path):
    from lowdose.zoo import user_models_folder

    monkeypatch.setenv("LOWDOSE_MODELS", "elsewhere")
    use_models_folder(Settings())
    assert str(user_models_folder()) == "elsewhere"
    use_models_folder(Settings(models_folder=str(tmp_path)))
    assert user_models_folder() == tmp_path
