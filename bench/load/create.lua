-- Submits jobs over REST, each with a text of its own, for wrk. Arguments after "--": HOST:PORT, the first job's number,
-- how many jobs, how many connections.
--
-- wrk runs for a time and then breaks off the calls that are open. Here it sends so many and ends when all are answered:
-- `delay` is asked before each call, so the answer to the one before has come.
local ffi = require("ffi")
ffi.cdef [[ struct time { long seconds, nanoseconds; }; int clock_gettime(int clock, struct time *now); ]]
local MONOTONIC, FOR_EVER = 1, 3600 * 1000

local template, number, left, open, started

local function seconds()
  local now = ffi.new("struct time")
  ffi.C.clock_gettime(MONOTONIC, now)
  return tonumber(now.seconds) + tonumber(now.nanoseconds) / 1e9
end

function init(arguments)
  -- wrk asks for one call more, which it does not send, before it starts.
  number = tonumber(arguments[2]) - 2
  left, open = tonumber(arguments[3]), tonumber(arguments[4])
  local body = '{"type":"compute","payload":{"input":"%064d"}}'
  template = "POST /jobs HTTP/1.1\r\nHost: " .. arguments[1]
    .. "\r\nContent-Type: application/json\r\nContent-Length: " .. #string.format(body, 0)
    .. "\r\n\r\n" .. body
end

function request()
  number = number + 1
  return string.format(template, number)
end

function delay()
  started = started or seconds()
  if left > 0 then
    left = left - 1
    return 0
  end
  open = open - 1
  if open == 0 then
    io.write(string.format("%.6f\n", seconds() - started))
    os.exit(0)
  end
  return FOR_EVER
end
