-- Appends a click, if there is one, and caches its link unless Redis holds a newer version of it.
-- KEYS: the link, and the stream.
-- ARGV: the link, until when to keep it (ms since 1970), the click's line.
-- The click comes first: a full Redis refuses it, but no command after the script's first write.
-- Returns the click's id in the stream, or the error of its XADD, which callers get as an error.
local plain = string.gsub(ARGV[1], '^x%S+', 'a', 1)
local added = ARGV[3] and redis.pcall('XADD', KEYS[2], '*', 'click', ARGV[3] .. plain)
-- A slow reader never puts an old link back. A value that is no link counts as older than any.
local held = redis.pcall('GET', KEYS[1])
local version, id = string.match(type(held) == 'string' and held or '', '^[adeisx]%S* (%d+) (%d+) ')
local sane = version and tonumber(id) > 0 and tonumber(id) < 2^63
if not sane or tonumber(version) < tonumber(string.match(ARGV[1], '^%S+ (%d+) ')) then
  -- A full Redis at least forgets what it holds.
  if redis.pcall('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2]).err then redis.pcall('DEL', KEYS[1]) end
end
return added
