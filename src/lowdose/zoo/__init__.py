"""Pretrained models: weights (safetensors), cards (TOML), verifying and loading.

A model is a folder with ``card.toml`` and ``weights.safetensors`` in it. Importing
this package does not import torch; :func:`load_model` does.
"""

from __future__ import annotations

from lowdose.zoo.cards import ModelCard, read_card
from lowdose.zoo.shelf import list_models, load_model, user_models_folder

__all__ = ["ModelCard", "list_models", "load_model", "read_card", "user_models_folder"]
