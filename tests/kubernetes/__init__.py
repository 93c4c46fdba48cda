"""Checks of the service on a Kubernetes cluster to test with: `python -m tests.kubernetes.run`."""
