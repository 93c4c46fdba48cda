"""Takes Alertmanager's webhook, keeps what it says, and tells Discord, once and in order, also when
Discord was away.
"""
