-- Returns how many clicks wait, and the oldest of them. KEYS: the stream.
return {redis.call('XLEN', KEYS[1]), redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)}
