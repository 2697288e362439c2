-- resty.string: bytes as hexadecimal digits, and numbers out of text.
local byte, format, gsub, tonumber = string.byte, string.format, string.gsub, tonumber

local text = { _VERSION = "0.16" }

function text.to_hex(s)
  return (gsub(s, ".", function(c)
    return format("%02x", byte(c))
  end))
end

function text.atoi(s)
  return tonumber(s)
end

return text
