"""Stores Alertmanager's notifications; sends each to Discord once, in order, after outages too."""
