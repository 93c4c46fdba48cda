-- Deletes the entries up to a position, unless the stream has another epoch by now.
-- KEYS: the stream, the epoch. ARGV: the position's epoch and id.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
local ms, seq = string.match(ARGV[2], '(%d+)-(%d+)')
return redis.call('XTRIM', KEYS[1], 'MINID', ms .. '-' .. string.format('%.0f', seq + 1))
