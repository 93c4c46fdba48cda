-- Each of wrk's threads has one connection, so that an answer belongs to the request before it: every Location is compared.
-- A thread ends after REQUESTS answers; so the clicks that are stored afterwards can be compared with the answers exactly.
local ffi = require("ffi")
ffi.cdef("typedef struct { long s; long us; } moment; int gettimeofday(moment *now, void *zone);")
local function now()
  local at = ffi.new("moment")
  ffi.C.gettimeofday(at, nil)
  return tonumber(at.s) * 1e6 + tonumber(at.us)
end

local threads = {}
local limit, constant = tonumber(os.getenv("REQUESTS")), os.getenv("CONSTANT")

function setup(thread)
  table.insert(threads, thread)
  thread:set("seed", #threads * 7919)
end

function init()
  math.randomseed(seed)
  answered, wrong, first, last = 0, 0, 0, 0
end

function request()
  if first == 0 then first = now() end
  number = math.random(0, 999)
  return wrk.format("GET", string.format("/c%05d", number))
end

function response(status, headers)
  answered = answered + 1
  local expected = constant or string.format("https://example.com/page/%05d", number)
  local location = headers["Location"] or headers["location"]
  if status ~= 302 or location ~= expected then wrong = wrong + 1 end
  if answered == limit then
    last = now()
    local finished = io.open(os.getenv("FINISHED"), "a")
    finished:write("x")
    finished:close()
    wrk.thread:stop()
  end
end

function done(summary, latency)
  local answered, wrong, first, last = 0, 0, math.huge, 0
  for _, thread in ipairs(threads) do
    answered, wrong = answered + thread:get("answered"), wrong + thread:get("wrong")
    first, last = math.min(first, thread:get("first")), math.max(last, thread:get("last"))
  end
  local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d %d\n", answered, wrong, errors, last - first, latency:percentile(50), latency:percentile(99)))
end
