-- resty.lrucache: a table of bounded size that forgets what was not used for longest.
local now = ngx.now
local setmetatable, type, error = setmetatable, type, error

local cache = { _VERSION = "0.15" }
local mt = { __index = cache }

-- Nodes form a ring around self.ring: next is newer to older, the last is the next to go.
local function unlink(node)
  node.prev.next, node.next.prev = node.next, node.prev
end

local function push_front(ring, node)
  local first = ring.next
  node.prev, node.next = ring, first
  ring.next, first.prev = node, node
end

local function empty_ring()
  local ring = {}
  ring.prev, ring.next = ring, ring
  return ring
end

function cache.new(size)
  if type(size) ~= "number" or size < 1 then
    return nil, "size too small"
  end
  return setmetatable({ size = size, nodes = {}, used = 0, ring = empty_ring() }, mt)
end

-- A value past its time is still told, as the second result.
function cache:get(key)
  local node = self.nodes[key]
  if not node then
    return nil
  end
  unlink(node)
  push_front(self.ring, node)
  if node.expires and node.expires < now() then
    return nil, node.value, node.flags
  end
  return node.value, nil, node.flags
end

local function drop(self, node)
  unlink(node)
  self.nodes[node.key] = nil
  self.used = self.used - 1
end

function cache:set(key, value, ttl, flags)
  local node = self.nodes[key]
  if node then
    unlink(node)
  else
    if self.used >= self.size then
      drop(self, self.ring.prev)
    end
    node = { key = key }
    self.nodes[key] = node
    self.used = self.used + 1
  end
  push_front(self.ring, node)
  node.value = value
  node.expires = ttl and now() + ttl or nil
  node.flags = type(flags) == "number" and flags >= 0 and flags or 0
end

function cache:delete(key)
  local node = self.nodes[key]
  if not node then
    return false
  end
  drop(self, node)
  return true
end

function cache:count()
  return self.used
end

function cache:capacity()
  return self.size
end

-- Keys from the newest to the oldest.
function cache:get_keys(max, res)
  max = max and max > 0 and max or self.used
  res = res or {}
  local node, n = self.ring.next, 0
  while node ~= self.ring and n < max do
    n = n + 1
    res[n] = node.key
    node = node.next
  end
  res[n + 1] = nil
  return res
end

function cache:flush_all()
  self.nodes, self.used, self.ring = {}, 0, empty_ring()
end

return cache
