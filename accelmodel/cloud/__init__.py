"""Which rented instances serve a workload for the least money."""
