-- Counts one use of a quota, unless a sliding window has no more.
-- The window is this moment's slice and all slices that a window of full length may reach into. So
-- no window has more uses than the quota, and a use comes back at most a slice too late.
-- KEYS: the client's uses, a hash by slice. ARGV: quota, length of a slice (s), slices of a window.
-- Returns how many uses are left, -1 for a refusal, and after how many seconds one comes back.
local now, length, slices = tonumber(redis.call('TIME')[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local current, used = math.floor(now / length), 0
local oldest = current
local held = redis.call('HGETALL', KEYS[1])
for i = 1, #held, 2 do
  local slice = tonumber(held[i])
  if slice < current - slices or slice > current then  -- later: the clock went back
    redis.call('HDEL', KEYS[1], held[i])
  else
    used = used + tonumber(held[i + 1])
    oldest = math.min(oldest, slice)
  end
end
local left = tonumber(ARGV[1]) - used - 1
if left >= 0 then
  redis.call('HINCRBY', KEYS[1], string.format('%.0f', current), 1)
  redis.call('EXPIRE', KEYS[1], length * (slices + 1))
end
return {math.max(left, -1), (oldest + slices + 1) * length - now}
