-- resty.limit.conn: how many requests of one key may run at a time.
local shared, floor, setmetatable = ngx.shared, math.floor, setmetatable

local limit = { _VERSION = "0.09" }
local mt = { __index = limit }

function limit.new(name, max, burst, default_delay)
  local dict = shared[name]
  if not dict then
    return nil, "shared dict not found"
  end
  return setmetatable({
    dict = dict,
    max = max + 0,
    burst = burst,
    unit_delay = default_delay,
    committed = false,
  }, mt)
end

function limit:incoming(key, commit)
  local dict, max, running, err = self.dict, self.max, nil, nil
  self.committed = false
  if commit then
    running, err = dict:incr(key, 1, 0)
    if not running then
      return nil, err
    end
  else
    running = (dict:get(key) or 0) + 1
  end
  if running > max + self.burst then
    if commit then
      running, err = dict:incr(key, -1)
      if not running then
        return nil, err
      end
    end
    return nil, "rejected"
  end
  self.committed = commit and true or false
  if running > max then
    -- Those in front need one unit for every `max` of them.
    return self.unit_delay * floor((running - 1) / max), running
  end
  return 0, running
end

function limit:is_committed()
  return self.committed
end

function limit:leaving(key, latency)
  local running, err = self.dict:incr(key, -1)
  if not running then
    return nil, err
  end
  if latency then
    self.unit_delay = (latency + self.unit_delay) / 2
  end
  return running
end

function limit:uncommit(key)
  return self.dict:incr(key, -1)
end

function limit:set_conn(max)
  self.max = max
end

function limit:set_burst(burst)
  self.burst = burst
end

return limit
