-- ngx.var, ngx.arg, ngx.ctx, ngx.status, ngx.headers_sent, ngx.is_subrequest, ndk.set_var
local B = ...
local N, ngx = B.N, B.ngx
local type, tostring, error, rawset, setmetatable = type, tostring, error, rawset, setmetatable
local var_get, var_set, var_fast = N["var.get"], N["var.set"], B.F.var_get
local ffi = require "ffi"
local ffi_string, out = ffi.string, ffi.new("const char *[1]")

ngx.var = setmetatable({}, {
  __index = function(_, name)
    if type(name) == "string" then
      local length = var_fast(name, #name, out)
      if length >= 0 then
        return ffi_string(out[0], length)
      end
      if length == -1 then
        return nil
      end
    end
    return var_get(name)
  end,
  __newindex = function(_, name, value)
    if value ~= nil and type(value) ~= "string" then
      value = tostring(value)
    end
    return var_set(name, value)
  end,
})

local arg_get, arg_set = N["arg.get"], N["arg.set"]

ngx.arg = setmetatable({}, {
  __index = function(_, index)
    return arg_get(index)
  end,
  __newindex = function(_, index, value)
    return arg_set(index, value)
  end,
})

local ctx_get, ctx_set = N["var.ctx"], N["var.set_ctx"]
local handshake_ctx = N["var.handshake_ctx"]

local registry, S = debug.getregistry(), B.S

local function context()
  local slot = S.table
  if slot ~= 0 then
    return registry[slot]
  end
  local table = ctx_get()
  if not table then
    table = {}
    -- What the scripts of the TLS handshake have set can be read by all requests after it.
    local before = handshake_ctx()
    if before then
      setmetatable(table, { __index = before })
    end
    ctx_set(table)
  end
  return table
end

local readers = {
  ctx = context,
  status = N["var.status"],
  headers_sent = N["var.headers_sent"],
  is_subrequest = N["var.is_subrequest"],
}

local writers = {
  ctx = function(value)
    if type(value) ~= "table" then
      error("ctx should be a table while getting a " .. type(value), 3)
    end
    ctx_set(value)
  end,
  status = function(value)
    if type(value) ~= "number" then
      value = tonumber(value)
      if not value then
        error("bad status argument", 3)
      end
    end
    return N["var.set_status"](value)
  end,
  headers_sent = function()
    error("attempt to write to ngx.headers_sent", 3)
  end,
}

setmetatable(ngx, {
  __index = function(_, name)
    local read = readers[name]
    if read then
      return read()
    end
  end,
  __newindex = function(self, name, value)
    local write = writers[name]
    if write then
      return write(value)
    end
    rawset(self, name, value)
  end,
})
