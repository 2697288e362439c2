-- resty.limit.count: so many requests per window of time.
local shared, setmetatable = ngx.shared, setmetatable

local limit = { _VERSION = "0.09" }
local mt = { __index = limit }

function limit.new(name, count, window)
  local dict = shared[name]
  if not dict then
    return nil, "shared dict not found"
  end
  return setmetatable({ dict = dict, limit = count, window = window }, mt)
end

function limit:incoming(key, commit)
  local remaining, err
  if commit then
    remaining, err = self.dict:incr(key, -1, self.limit, self.window)
    if not remaining then
      return nil, err
    end
  else
    remaining = (self.dict:get(key) or self.limit) - 1
  end
  if remaining < 0 then
    return nil, "rejected"
  end
  return 0, remaining
end

function limit:uncommit(key)
  local remaining, err = self.dict:incr(key, 1)
  if not remaining then
    if err ~= "not found" then
      return nil, err
    end
    -- The window is over: all of the next one is left.
    remaining = self.limit
  end
  return remaining
end

return limit
