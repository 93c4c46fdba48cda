-- Resolves links and appends a click for each active one, for any number of requests in one call.
-- KEYS: the stream, then the links. ARGV: per link, the click's fields; the link's text is appended.
-- Returns what Redis holds for each link, false for none. No failing command stops the script half
-- way: a key of another type holds no link, and where a click is refused it returns no link.
local held = {}
for i = 2, #KEYS do
  local link = redis.pcall('GET', KEYS[i])
  if type(link) ~= 'string' then link = false end
  local state = link and string.byte(link)
  if state == 97 or state == 120 then  -- 'a', active, and 'x', active with options
    -- The click stores the link without options; the drain does not need them.
    local plain = state == 97 and link or string.gsub(link, '^%S+', 'a', 1)
    local added = redis.pcall('XADD', KEYS[1], '*', 'click', ARGV[i - 1] .. plain)
    if type(added) ~= 'string' then link = false end
  end
  held[i - 1] = link
end
return held
