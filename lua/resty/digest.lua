-- resty.md5, resty.sha1, resty.sha224 … resty.sha512: digests of text that comes in pieces.
local B = ...
local concat, setmetatable, sub = table.concat, setmetatable, string.sub

-- A class whose objects collect pieces and hash them at the end.
local function class(name, hash)
  local digest = { _VERSION = "0.16" }
  local mt = { __index = digest }

  function digest.new()
    return setmetatable({ _name = name, pieces = {} }, mt)
  end

  function digest:update(s, length)
    self.pieces[#self.pieces + 1] = length and sub(s, 1, length) or s
    return true
  end

  function digest:final()
    return hash(concat(self.pieces))
  end

  function digest:reset()
    self.pieces = {}
    return true
  end

  return digest
end

local sha2 = B.N["encode.sha2"]
local digests = {
  md5 = class("md5", B.N["encode.md5_bin"]),
  sha1 = class("sha1", B.N["encode.sha1_bin"]),
}
for _, bits in ipairs { 224, 256, 384, 512 } do
  digests["sha" .. bits] = class("sha" .. bits, function(s)
    return sha2(bits, s)
  end)
end

return digests
