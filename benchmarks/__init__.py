"""Measurements that are printed, not asserted: each is a module to run on a server of its own."""
