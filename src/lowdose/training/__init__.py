"""Training of networks by recipes: ``lowdose train RECIPE.toml -o DIR``."""
