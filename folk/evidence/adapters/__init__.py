"""DVC, MLflow, RO-Crate, Zenodo, Croissant and a model hub."""
