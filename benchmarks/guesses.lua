-- Guesses codes, each connection at a steady pace: ADDRESSES addresses take turns, behind a proxy that is believed.
-- Counts the statuses, and which of the refusals came from the application rather than from Nginx.
local threads = {}
local pause, addresses = tonumber(os.getenv("PAUSE_MS")), tonumber(os.getenv("ADDRESSES"))
local letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

function setup(thread)
  table.insert(threads, thread)
  thread:set("seed", #threads * 7919)
end

function init()
  math.randomseed(seed)
  unknown, ours, others, wrong = 0, 0, 0, 0
end

function delay()
  return pause
end

function request()
  local code = {}
  for place = 1, 6 do
    local at = math.random(1, #letters)
    code[place] = letters:sub(at, at)
  end
  wrk.headers["X-Forwarded-For"] = "203.0.113." .. math.random(1, addresses)
  return wrk.format("GET", "/" .. table.concat(code))
end

function response(status, headers)
  if status == 404 then
    unknown = unknown + 1
  elseif status ~= 429 then
    wrong = wrong + 1
  elseif headers["RateLimit-Policy"] or headers["ratelimit-policy"] then
    ours = ours + 1
  else
    others = others + 1
  end
end

function done(summary)
  local counts = {unknown = 0, ours = 0, others = 0, wrong = 0}
  for _, thread in ipairs(threads) do
    for name in pairs(counts) do counts[name] = counts[name] + thread:get(name) end
  end
  io.write(string.format("RESULT %d %d %d %d %d\n", counts.unknown, counts.ours, counts.others, counts.wrong, summary.duration))
end
