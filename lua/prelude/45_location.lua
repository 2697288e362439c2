-- ngx.location
local B = ...
local N, ask = B.N, B.ask
local type, error, ipairs = type, error, ipairs

local BOOLEANS = { "share_all_vars", "copy_all_vars", "always_forward_body" }

local function add(uri, options)
  local o = options or {}
  for i = 1, #BOOLEANS do
    local value = o[BOOLEANS[i]]
    if value ~= nil and type(value) ~= "boolean" then
      error("Bad " .. BOOLEANS[i] .. " option value", 3)
    end
  end
  if o.vars ~= nil and type(o.vars) ~= "table" then
    error("Bad vars option value", 3)
  end
  if o.method ~= nil and type(o.method) ~= "number" then
    error("Bad http request method", 3)
  end
  if o.ctx ~= nil and type(o.ctx) ~= "table" then
    error("Bad ctx option value type " .. type(o.ctx) .. ", expected a Lua table", 3)
  end
  if o.headers ~= nil and type(o.headers) ~= "table" then
    error("Bad headers option value", 3)
  end
  return N["location.add"](uri, o.method, o.body, o.args, o.vars, o.share_all_vars,
    o.copy_all_vars, o.always_forward_body, o.ctx, o.headers)
end

local function check(uri, options, position)
  if type(uri) ~= "string" and type(uri) ~= "number" then
    error("bad argument #" .. position .. " to 'capture' (string expected, got "
      .. (uri == nil and "no value" or type(uri)) .. ")", 3)
  end
  if options ~= nil and type(options) ~= "table" then
    error("bad argument #2 to 'capture' (table expected, got " .. type(options) .. ")", 3)
  end
end

local function capture(uri, options)
  check(uri, options, 1)
  N["location.begin"]()
  add(uri, options)
  return ask(N["location.run"]())
end

local function capture_multi(list)
  if type(list) ~= "table" then
    error("bad argument #1 to 'capture_multi' (table expected, got "
      .. (list == nil and "nil" or type(list)) .. ")", 2)
  end
  if #list == 0 then
    error("bad argument #1 to 'capture_multi' (at least one subrequest should be specified)", 2)
  end
  N["location.begin"]()
  for _, item in ipairs(list) do
    if type(item) ~= "table" then
      error("the query argument " .. _ .. " should be a table", 2)
    end
    add(item[1], item[2])
  end
  return ask(N["location.run"]())
end

B.ngx.location = { capture = capture, capture_multi = capture_multi }
