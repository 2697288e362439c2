-- resty.random: random bytes of the kernel.
local ffi = require "ffi"
local C, tonumber = ffi.C, tonumber

ffi.cdef "ssize_t getrandom(void *buf, size_t length, unsigned int flags);"

local random = { _VERSION = "0.16" }

-- All bytes are strong here, whether asked for or not. More than 256 may come in pieces.
function random.bytes(length, _)
  local buf = ffi.new("uint8_t[?]", length)
  local got = 0
  while got < length do
    local n = C.getrandom(buf + got, length - got, 0)
    if n <= 0 then
      return nil
    end
    got = got + tonumber(n)
  end
  return ffi.string(buf, length)
end

return random
