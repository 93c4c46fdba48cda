-- Returns the stream's epoch and the entries after a position; after another epoch's, all.
-- KEYS: the stream, the epoch. ARGV: the position's epoch and id, the most entries to return.
local epoch = redis.call('GET', KEYS[2])
if not epoch then return {false, {}} end
local from = '-'
if epoch == ARGV[1] then from = '(' .. ARGV[2] end
return {epoch, redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', ARGV[3])}
