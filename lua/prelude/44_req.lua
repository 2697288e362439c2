-- ngx.req
local B = ...
local N, ask, req, ngx = B.N, B.ask, B.ngx.req, B.ngx
local type, error, tostring, tonumber = type, error, tostring, tonumber
local clear, pairs = require "table.clear", pairs

local plain = {
  "get_method", "http_version", "raw_header", "start_time", "is_internal", "set_uri_args",
}
for _, name in ipairs(plain) do
  req[name] = N["req." .. name]
end

-- Whether there is a request: what resty.core asks of C says "the current context" when there is none.
local in_request = N["req.is_here"]
B.in_request = in_request

local is_internal = req.is_internal

function req.is_internal()
  if not in_request() then
    error("API disabled in the current context")
  end
  return is_internal()
end

function req.get_headers(max, raw)
  return B.headers(raw, N["req.headers"](max, raw))
end

function req.set_header(name, value)
  if type(name) ~= "string" then
    if not name then
      error("bad 'name' argument: string expected, got " .. type(name), 2)
    end
    name = tostring(name)
  end
  if value ~= nil and type(value) ~= "table" and type(value) ~= "string" then
    value = tostring(value)
  end
  return N["req.set_header"](name, value)
end

function req.clear_header(name)
  return N["req.clear_header"](type(name) == "string" and name or tostring(name))
end

function req.set_method(method)
  if type(method) ~= "number" then
    error("bad method number", 2)
  end
  return N["req.set_method"](method)
end

-- `reused` is a table of the script's, filled in place of a new one.
local function get_uri_args(max, reused)
  if reused == nil then
    return N["req.get_uri_args"](max)
  end
  local args, err = N["req.get_uri_args"](max)
  clear(reused)
  for name, value in pairs(args) do
    reused[name] = value
  end
  return reused, err
end
req.get_uri_args = get_uri_args

function req.set_uri(...)
  return ask(N["req.set_uri"](...))
end

function req.read_body()
  local status = ask(N["req_body.read"]())
  if status then
    return ngx.exit(status)
  end
end

req.discard_body = N["req_body.discard"]
req.get_body_data = N["req_body.data"]
req.get_body_file = N["req_body.file"]
req.get_post_args = N["req_body.post_args"]
req.set_body_data = N["req_body.set_data"]
req.set_body_file = N["req_body.set_file"]
req.init_body = N["req_body.init"]
req.append_body = N["req_body.append"]
req.finish_body = N["req_body.finish"]

local module = { add_header = function(name, value)
  if B.S.phase == 0 or not B.in_request() then
    error("API disabled in the current context", 2)
  end
  if name == nil then
    error("bad 'name' argument: string expected, got nil", 2)
  end
  if type(name) ~= "string" then
    name = tostring(name)
  end
  if value == nil then
    error("bad 'value' argument: string or table expected, got nil", 2)
  elseif type(value) == "table" and #value == 0 then
    error("bad 'value' argument: non-empty table expected", 2)
  end
  local old = req.get_headers(0, false)[name]
  local all = type(old) == "table" and old or { old }
  for _, more in ipairs(type(value) == "table" and value or { value }) do
    all[#all + 1] = tostring(more)
  end
  return req.set_header(name, all)
end }

B.module("ngx.req", module)
