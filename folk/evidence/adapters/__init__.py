"""DVC, MLflow and RO-Crate."""
