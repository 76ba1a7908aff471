-- A script for wrk that submits jobs over REST, each with its own text. Arguments after "--": HOST:PORT, the number of the
-- first job, the number of jobs, the number of connections.
--
-- By itself, wrk runs for a fixed time and then cuts the open calls. This script sends a fixed number of calls and ends when
-- all are answered: wrk calls `delay` before each call of a connection, when the connection's last call is answered.
-- It ends at once, with exit status 1, when an answer has another status than 2xx, and writes that answer.
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
  -- Before it starts, wrk asks for one request that it does not send.
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

function response(status, _, body)
  if status < 200 or status > 299 then
    io.stderr:write(string.format("HTTP status %d: %s\n", status, body))
    os.exit(1)
  end
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
