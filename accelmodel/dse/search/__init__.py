"""Studies in Optuna: samplers, storages, several processes, dashboards."""
