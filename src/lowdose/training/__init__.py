"""Training of networks: by recipes, and on your own data (`lowdose train`)."""
