-- Copies entries to another stream, which keeps about the newest 10,000.
-- KEYS: the stream, the other one. ARGV: for how long to keep that one (s), the entries' ids.
-- Returns how many it could not copy: a full Redis refuses them.
local refused = 0
for i = 2, #ARGV do
  local entry = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])[1]
  local added = entry and redis.pcall('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*', unpack(entry[2]))
  if type(added) ~= 'string' then refused = refused + 1 end
end
redis.pcall('XTRIM', KEYS[2], 'MINID', (redis.call('TIME')[1] - ARGV[1]) .. '000')
redis.pcall('EXPIRE', KEYS[2], ARGV[1])
return refused
