-- Resolves links and appends a click for each active one, for any number of requests in one call.
-- KEYS: the stream, then the links. ARGV: one line per link, what the stream keeps before the link.
-- Returns what Redis holds for each link, false for none. No command in it can fail half way:
-- a key of another type holds no link, and a click that is refused counts as no link.
local held = {}
for i = 2, #KEYS do
  local link = redis.pcall('GET', KEYS[i])
  if type(link) ~= 'string' then link = false end
  if link and string.byte(link) == 97 then  -- 'a', active
    local added = redis.pcall('XADD', KEYS[1], '*', 'click', ARGV[i - 1] .. link)
    if type(added) ~= 'string' then link = false end
  end
  held[i - 1] = link
end
return held
