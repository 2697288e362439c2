-- Modules written in Lua over natives: compiled when they are first required, with B as argument.
local B = ...
local loadstring, assert, gsub, ipairs, require = loadstring, assert, string.gsub, ipairs, require

for name, code in pairs(B.config.library) do
  B.spare(name, function()
    return assert(loadstring(code, "@" .. gsub(name, "%.", "/") .. ".lua"))(B)
  end)
end

-- Several modules of one file.
for _, name in ipairs { "md5", "sha1", "sha224", "sha256", "sha384", "sha512" } do
  B.spare("resty." .. name, function()
    return require("resty.digest")[name]
  end)
end

B.spare("resty.lrucache.pureffi", function()
  return require "resty.lrucache"
end)
