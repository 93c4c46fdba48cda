-- Returns the stream's epoch and its last id; an empty stream has neither.
-- The epoch names one life of the stream: on a new or emptied Redis ids may begin at any height.
-- KEYS: the stream, the epoch. ARGV: a name for a new epoch.
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not last then return {false, false} end
if redis.call('EXISTS', KEYS[2]) == 0 then
  -- A full Redis would refuse SET as the first write of a script, but not after a DEL. Without
  -- an epoch the stream is not drained, and stays full.
  redis.call('DEL', KEYS[2])
  redis.call('SET', KEYS[2], ARGV[1])
end
return {redis.call('GET', KEYS[2]), last[1]}
