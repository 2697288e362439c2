-- ngx.header, ngx.resp
local B = ...
local N, F, ngx = B.N, B.F, B.ngx
local type, tostring, rawget, setmetatable = type, tostring, rawget, setmetatable
local lower, find, gsub = string.lower, string.find, string.gsub
local get, set, set_text = N["header.get"], N["header.set"], F.header_set

ngx.header = setmetatable({}, {
  __index = function(_, name)
    return get(name)
  end,
  __newindex = function(_, name, value)
    if type(name) == "string" then
      if type(value) == "number" then
        value = tostring(value)
      end
      if type(value) == "string" and set_text(name, #name, value, #value) then
        return
      end
    end
    return set(name, value)
  end,
})

-- Header tables are asked in any letter case, with underscores for dashes.
local any_case = {
  __index = function(headers, name)
    if type(name) ~= "string" and type(name) ~= "number" then
      return nil
    end
    name = lower(name)
    local value = rawget(headers, name)
    if value == nil and find(name, "_", 1, true) then
      value = rawget(headers, (gsub(name, "_", "-")))
    end
    return value
  end,
}

function B.headers(raw, headers, cut)
  if not raw then
    setmetatable(headers, any_case)
  end
  return headers, cut
end

function ngx.resp.get_headers(max, raw)
  return B.headers(raw, N["header.resp_headers"](max, raw))
end

local resp = {
  add_header = function(name, value)
    if type(name) ~= "string" then
      name = tostring(name)
    end
    if value == nil then
      error("invalid header value", 2)
    end
    if type(value) == "table" and #value == 0 then
      return
    end
    return N["header.add"](name, value)
  end,
  set_status = N["header.set_status_line"],
  bypass_if_checks = N["header.bypass_if_checks"],
}
ngx.resp.add_header = resp.add_header

B.module("ngx.resp", resp)
