-- Modules written in Lua over natives: compiled when they are first required, with B as argument.
local B = ...
local loadstring, assert, gsub = loadstring, assert, string.gsub

for name, code in pairs(B.config.library) do
  B.spare(name, function()
    return assert(loadstring(code, "@" .. gsub(name, "%.", "/") .. ".lua"))(B)
  end)
end
