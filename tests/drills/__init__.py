"""What happens to requests and clicks when one part after the other is broken under load: `make
drill`.
"""
