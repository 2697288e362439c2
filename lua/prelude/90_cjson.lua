-- The built-in cjson and cjson.safe, used when lua_package_path and lua_package_cpath have none.
local B = ...
local decode_native = B.N["json.decode"]
local null = B.ngx.null
local new_buffer = require("string.buffer").new
local type, pairs, next, tostring, error, pcall = type, pairs, next, tostring, error, pcall
local getmetatable, setmetatable = getmetatable, setmetatable
local format, floor = string.format, math.floor
local gsub, find, byte, huge = string.gsub, string.find, string.byte, math.huge

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["/"] = "\\/", ["\b"] = "\\b", ["\f"] = "\\f",
  ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\127"] = "\\u007f" }
for i = 0, 31 do
  local c = string.char(i)
  ESCAPES[c] = ESCAPES[c] or format("\\u%04x", i)
end

local array_mt, empty_array_mt = {}, {}
local empty_array = setmetatable({}, array_mt)

-- The length of a table that is a list; nil for an object. Sparse lists are judged by the settings.
local function list_length(t, conf)
  local top, count = 0, 0
  for k in pairs(t) do
    if type(k) ~= "number" or k < 1 or floor(k) ~= k then
      return nil
    end
    top, count = k > top and k or top, count + 1
  end
  if conf.sparse_ratio > 0 and top > count * conf.sparse_ratio and top > conf.sparse_safe then
    if not conf.sparse_convert then
      error("Cannot serialise table: excessively sparse array", 0)
    end
    return nil
  end
  return top
end

local append

local function append_list(out, list, length, depth, conf)
  out:put "["
  for i = 1, length do
    if i > 1 then
      out:put ","
    end
    append(out, list[i], depth, conf)
  end
  out:put "]"
end

local function append_object(out, t, depth, conf)
  local first = true
  out:put "{"
  for k, v in pairs(t) do
    out:put(first and '"' or ',"')
    first = false
    if type(k) == "number" then
      out:put(format(conf.number_format, k))
    elseif type(k) == "string" then
      out:put((gsub(k, conf.escape_class, ESCAPES)))
    else
      error("Cannot serialise " .. type(k) .. ": table key must be a number or string", 0)
    end
    out:put '":'
    append(out, v, depth, conf)
  end
  out:put "}"
end

local function append_table(out, t, depth, conf)
  depth = depth + 1
  if depth > conf.encode_depth then
    error("Cannot serialise, excessive depth (" .. depth .. ")", 0)
  end
  local meta = getmetatable(t)
  if meta == array_mt then
    return append_list(out, t, #t, depth, conf)
  end
  if next(t) == nil then
    local is_list = meta == empty_array_mt or not conf.empty_as_object
    out:put(is_list and "[]" or "{}")
    return
  end
  local length = list_length(t, conf)
  if length then
    append_list(out, t, length, depth, conf)
  else
    append_object(out, t, depth, conf)
  end
end

local function append_number(out, n, conf)
  if n ~= n or n == huge or n == -huge then
    if conf.encode_invalid == "null" then
      out:put "null"
      return
    elseif not conf.encode_invalid then
      error("Cannot serialise number: must not be NaN or Infinity", 0)
    end
    out:put(n ~= n and "nan" or n > 0 and "inf" or "-inf")
    return
  end
  out:put(format(conf.number_format, n))
end

function append(out, v, depth, conf)
  local kind = type(v)
  if kind == "string" then
    out:put('"', (gsub(v, conf.escape_class, ESCAPES)), '"')
  elseif kind == "number" then
    append_number(out, v, conf)
  elseif kind == "table" then
    append_table(out, v, depth, conf)
  elseif kind == "boolean" then
    out:put(v and "true" or "false")
  elseif v == nil or v == null then
    out:put "null"
  else
    error("Cannot serialise " .. kind .. ": type not supported", 0)
  end
end

local function flag(value, old, words)
  if value == nil then
    return old
  end
  if value == "on" then
    return true
  elseif value == "off" then
    return false
  elseif words and words[value] then
    return value
  end
  return value and true or false
end

local function number_in(value, low, high, old)
  if value == nil then
    return old
  end
  if type(value) ~= "number" or value < low or value > high then
    error(format("bad argument #1 (expected integer between %d and %d)", low, high), 3)
  end
  return floor(value)
end

local function settings_of(cjson, conf)
  function cjson.encode_empty_table_as_object(value)
    conf.empty_as_object = flag(value, conf.empty_as_object)
    return conf.empty_as_object
  end
  function cjson.decode_array_with_array_mt(value)
    conf.arrays_marked = flag(value, conf.arrays_marked)
    return conf.arrays_marked
  end
  function cjson.encode_number_precision(value)
    conf.precision = number_in(value, 1, 16, conf.precision)
    conf.number_format = "%." .. conf.precision .. "g"
    return conf.precision
  end
  function cjson.encode_max_depth(value)
    conf.encode_depth = number_in(value, 1, 2147483647, conf.encode_depth)
    return conf.encode_depth
  end
  function cjson.decode_max_depth(value)
    conf.decode_depth = number_in(value, 1, 2147483647, conf.decode_depth)
    return conf.decode_depth
  end
  function cjson.encode_invalid_numbers(value)
    conf.encode_invalid = flag(value, conf.encode_invalid, { null = true })
    return conf.encode_invalid
  end
  function cjson.decode_invalid_numbers(value)
    conf.decode_invalid = flag(value, conf.decode_invalid)
    return conf.decode_invalid
  end
  function cjson.encode_keep_buffer(value)
    conf.keep_buffer = flag(value, conf.keep_buffer)
    return conf.keep_buffer
  end
  function cjson.encode_escape_forward_slash(value)
    conf.escape_slash = flag(value, conf.escape_slash)
    conf.escape_class = conf.escape_slash and '[%c"\\/\127]' or '[%c"\\\127]'
    return conf.escape_slash
  end
  function cjson.encode_sparse_array(convert, ratio, safe)
    conf.sparse_convert = flag(convert, conf.sparse_convert)
    conf.sparse_ratio = number_in(ratio, 0, 2147483647, conf.sparse_ratio)
    conf.sparse_safe = number_in(safe, 0, 2147483647, conf.sparse_safe)
    return conf.sparse_convert, conf.sparse_ratio, conf.sparse_safe
  end
end

local function new(name)
  local conf = {
    empty_as_object = true, arrays_marked = false, precision = 14, number_format = "%.14g",
    encode_depth = 1000, decode_depth = 1000, encode_invalid = false, decode_invalid = true,
    keep_buffer = true, escape_slash = true, escape_class = '[%c"\\/\127]',
    sparse_convert = false, sparse_ratio = 2, sparse_safe = 10,
  }
  local cjson = {
    _NAME = name, _VERSION = "2.1.0.14", null = null, array_mt = array_mt,
    empty_array_mt = empty_array_mt,
    empty_array = empty_array,
    new = function() return new(name) end,
  }
  settings_of(cjson, conf)

  local function encode(value)
    local out = new_buffer()
    append(out, value, 0, conf)
    return out:tostring()
  end

  local function decode(text)
    local marked = conf.arrays_marked and array_mt or nil
    return decode_native(text, conf.decode_depth, conf.decode_invalid, marked)
  end

  if name == "cjson.safe" then
    function cjson.encode(value)
      local ok, text = pcall(encode, value)
      if ok then
        return text
      end
      return nil, text
    end

    function cjson.decode(text)
      if type(text) ~= "string" and type(text) ~= "number" then
        local what = text == nil and "nil" or type(text)
        return nil, "bad argument #1 to 'decode' (string expected, got " .. what .. ")"
      end
      local ok, value = decode(text)
      if ok then
        return value
      end
      return nil, value
    end
    return cjson
  end

  function cjson.encode(...)
    if select("#", ...) ~= 1 then
      error("bad argument #1 to 'encode' (expected 1 argument)", 2)
    end
    local ok, text = pcall(encode, (...))
    if ok then
      return text
    end
    error(text, 2)
  end

  function cjson.decode(text)
    local ok, value = decode(text)
    if ok then
      return value
    end
    error(value, 2)
  end
  return cjson
end

B.spare("cjson", function() return new("cjson") end)
B.spare("cjson.safe", function() return new("cjson.safe") end)
