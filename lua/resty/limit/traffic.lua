-- resty.limit.traffic: several limits as one; the longest delay counts, and who rejects for one
-- rejects for all.
local max = math.max

local traffic = { _VERSION = "0.09" }

-- All but the last are only asked first, so that a rejection leaves them as they were.
function traffic.combine(limiters, keys, states)
  local delay, count = 0, #limiters
  for i = 1, count do
    local own, state = limiters[i]:incoming(keys[i], i == count)
    if not own then
      return nil, state
    end
    if states and i == count then
      states[i] = state
    end
    delay = max(delay, own)
  end
  for i = 1, count - 1 do
    local own, state = limiters[i]:incoming(keys[i], true)
    if not own then
      -- Somebody else was faster between the two looks.
      for k = 1, i - 1 do
        limiters[k]:uncommit(keys[k])
      end
      limiters[count]:uncommit(keys[count])
      return nil, state
    end
    if states then
      states[i] = state
    end
    delay = max(delay, own)
  end
  return delay
end

return traffic
