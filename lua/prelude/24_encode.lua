-- Escaping, arguments, base64, digests. What is no string is taken as tostring() has it, nil as "".
local B = ...
local N, ngx = B.N, B.ngx
local ffi = require "ffi"
local ffi_string = ffi.string
local type, tostring, error = type, tostring, error

local function text(s)
  if type(s) == "string" then
    return s
  end
  return s and tostring(s) or ""
end

local encode, out = B.F.encode, ffi.new("const char *[1]")
local ESCAPE, UNESCAPE, MD5, MD5_BIN, SHA1_BIN, BASE64, FROM_BASE64 = 1, 2, 3, 4, 5, 6, 7

-- By numbers that src/lua/api/encode/hot.rs knows.
local function through(what, s, option)
  local length = encode(what, s, #s, option, out)
  if length < 0 then
    return nil
  end
  return ffi_string(out[0], length)
end

-- The same for what is short as a rule, without a copy on the way.
local ROOM = 1024
local into, room = B.F.encode_into, ffi.new("char[?]", ROOM)

local function briefly(what, s, option)
  local length = into(what, s, #s, option, room, ROOM)
  if length >= 0 then
    return ffi_string(room, length)
  end
  return through(what, s, option)
end

local function escape_uri(s, kind)
  return through(ESCAPE, s, kind or 2)
end

function ngx.escape_uri(s, kind)
  if kind ~= nil then
    if type(kind) ~= "number" then
      error('"type" is not a number', 0)
    end
    if kind < 0 or kind > 6 then
      error('"type" ' .. kind .. " out of range", 0)
    end
  end
  return escape_uri(text(s), kind)
end

function ngx.unescape_uri(s)
  return through(UNESCAPE, text(s), 0)
end

function ngx.md5(s)
  return briefly(MD5, text(s), 0)
end

function ngx.md5_bin(s)
  return briefly(MD5_BIN, text(s), 0)
end

function ngx.sha1_bin(s)
  return briefly(SHA1_BIN, text(s), 0)
end

local crc32 = N["encode.crc32"]

function ngx.crc32_short(s)
  return crc32(text(s))
end

ngx.crc32_long = ngx.crc32_short

local base64_into = B.F.base64

local function encode_base64(s, no_padding)
  local length = base64_into(s, #s, not no_padding, room, ROOM)
  if length >= 0 then
    return ffi_string(room, length)
  end
  return through(BASE64, s, no_padding and 1 or 0)
end

function ngx.encode_base64(s, no_padding)
  if no_padding and no_padding ~= true then
    error("bad no_padding: boolean expected, got " .. type(no_padding), 2)
  end
  return encode_base64(text(s), no_padding)
end

function ngx.decode_base64(s)
  if type(s) ~= "string" then
    error("string argument only", 2)
  end
  return through(FROM_BASE64, s, 0)
end

function ngx.decode_base64mime(s)
  if type(s) ~= "string" then
    error("string argument only", 2)
  end
  return N["encode.decode_base64mime"](s)
end

ngx.encode_args = N["encode.encode_args"]
ngx.hmac_sha1 = N["encode.hmac_sha1"]
ngx.quote_sql_str = N["encode.quote_sql_str"]

local decode_args = N["encode.decode_args"]

function ngx.decode_args(s, max)
  if type(s) ~= "string" and type(s) ~= "number" then
    return error("bad argument #1 to 'decode_args' (string expected, got "
      .. (s == nil and "nil" or type(s)) .. ")", 2)
  end
  return decode_args(s, max)
end

-- ndk.set_var: the set_* directives of set-misc as functions.
local function hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local set_var = {
  set_escape_uri = function(s) return escape_uri(text(s), 2) end,
  set_unescape_uri = ngx.unescape_uri,
  set_quote_sql_str = function(s) return N["encode.quote_sql_str"](text(s)) end,
  set_md5 = ngx.md5,
  set_sha1 = function(s) return hex(ngx.sha1_bin(s)) end,
  set_encode_base64 = ngx.encode_base64,
  set_decode_base64 = function(s) return N["encode.decode_base64"](text(s)) or "" end,
  set_encode_base32 = function(s) return N["encode.base32"](text(s)) end,
  set_decode_base32 = function(s) return N["encode.decode_base32"](text(s)) or "" end,
  set_encode_hex = function(s) return hex(text(s)) end,
  set_decode_hex = function(s)
    s = text(s)
    if #s % 2 ~= 0 or s:find "%X" then
      error("calling directive set_decode_hex failed with code -1", 2)
    end
    return (s:gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end))
  end,
  set_local_today = function() return ngx.today() end,
  set_hmac_sha1 = function(key, s) return ngx.hmac_sha1(text(key), text(s)) end,
}

ndk = {
  set_var = setmetatable({}, {
    __index = function(_, name)
      local f = set_var[name]
      if not f then
        error('ndk.set_var: directive "' .. tostring(name) .. '" not found or does not use '
          .. 'ndk_set_var_value', 2)
      end
      return f
    end,
    __newindex = function()
      error("not allowed", 2)
    end,
  }),
}
package.loaded.ndk = ndk

local base64 = {}

function base64.encode_base64url(s)
  if type(s) ~= "string" then
    return nil, "must provide a string"
  end
  return (encode_base64(s, true):gsub("[+/]", { ["+"] = "-", ["/"] = "_" }))
end

function base64.decode_base64url(s)
  if type(s) ~= "string" then
    return nil, "must provide a string"
  end
  local plain = N["encode.decode_base64url"](s)
  if not plain then
    return nil, "invalid input"
  end
  return plain
end

B.module("ngx.base64", base64)
