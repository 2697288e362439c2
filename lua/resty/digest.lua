-- resty.md5, resty.sha1, resty.sha224 … resty.sha512: digests of text that comes in pieces.
local B = ...
local F = B.F
local ffi = require "ffi"
local error, setmetatable, tostring, type = error, setmetatable, tostring, type

ffi.cdef "typedef struct { double id; } moonbeat_digest;"
local state = ffi.metatype("moonbeat_digest", {
  __gc = function(s)
    F.digest_free(s.id)
  end,
})
local SIZE_MAX = 64
local out = ffi.new("char[?]", SIZE_MAX)

local function class(kind)
  local digest = { _VERSION = "0.16" }
  local mt = { __index = digest }

  function digest.new()
    local id = F.digest_new(kind)
    if id < 0 then
      return nil
    end
    return setmetatable({ state = state(id) }, mt)
  end

  function digest:update(s, length)
    if type(s) ~= "string" then
      s = tostring(s)
    end
    if length and length > #s then
      error("length of " .. length .. " is more than the text has", 2)
    end
    return F.digest_update(self.state.id, s, length or #s)
  end

  function digest:final()
    local length = F.digest_final(self.state.id, out, SIZE_MAX)
    if length < 0 then
      return nil
    end
    return ffi.string(out, length)
  end

  function digest:reset()
    return F.digest_final(self.state.id, out, SIZE_MAX) > 0
  end

  return digest
end

local digests = { md5 = class(5), sha1 = class(1) }
for _, bits in ipairs { 224, 256, 384, 512 } do
  digests["sha" .. bits] = class(bits)
end

return digests
