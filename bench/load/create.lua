-- Submits jobs over REST, each with a text of its own. Told to wrk after "--": HOST:PORT and the first job's number.
local request_text, number

function init(arguments)
  number = tonumber(arguments[2]) - 1
  local body = '{"type":"compute","payload":{"input":"%064d"}}'
  request_text = "POST /jobs HTTP/1.1\r\nHost: " .. arguments[1]
    .. "\r\nContent-Type: application/json\r\nContent-Length: " .. #string.format(body, 0)
    .. "\r\n\r\n" .. body
end

function request()
  number = number + 1
  return string.format(request_text, number)
end

function done(summary, latency, requests)
  local failed = summary.errors
  io.write(string.format('\n{"answers": %d, "refused": %d, "broken": %d, "microseconds": %d}\n',
    summary.requests, failed.status, failed.connect + failed.read + failed.write + failed.timeout, summary.duration))
end
