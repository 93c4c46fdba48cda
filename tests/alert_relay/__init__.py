"""The alert relay: real processes of it, and a stand-in for Discord."""
