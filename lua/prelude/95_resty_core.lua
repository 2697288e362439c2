-- resty.core: OpenResty loads it into every VM; here its work is done by the prelude itself.
local B = ...
local ffi = require "ffi"
local clear = require "table.clear"
local new_tab = require "table.new"

-- Code that declares a C structure of nginx finds it.
ffi.cdef [[
  typedef struct { size_t len; const unsigned char *data; } ngx_str_t;
  typedef struct ngx_http_request_s ngx_http_request_t;
  typedef struct { int len; const unsigned char *data; } ngx_http_lua_ffi_str_t;
]]

local VERSION = "0.1.32"
local base = {
  version = VERSION,
  FFI_OK = 0, FFI_ERROR = -1, FFI_AGAIN = -2, FFI_BUSY = -3, FFI_DONE = -4, FFI_DECLINED = -5,
  FFI_NO_REQ_CTX = -100, FFI_BAD_CONTEXT = -101, FFI_ABORT = -6,
  new_tab = new_tab, clear_tab = clear,
}

local bytes, sizes, errors = ffi.typeof "char[?]", ffi.typeof "size_t[1]", ffi.typeof "char *[1]"
local shared_size = 4096
local shared, size_ptr, err_ptr

function base.get_string_buf_size()
  return shared_size
end

function base.set_string_buf_size(size)
  if size <= 0 then
    return
  end
  shared, shared_size = nil, math.ceil(size)
end

function base.get_string_buf(size, must_alloc)
  if size > shared_size or must_alloc then
    return bytes(size)
  end
  shared = shared or bytes(shared_size)
  return shared
end

function base.get_size_ptr()
  size_ptr = size_ptr or sizes()
  return size_ptr
end

function base.get_errmsg_ptr()
  err_ptr = err_ptr or errors()
  return err_ptr
end

-- What C functions take for the running request: its address, behind which nothing of nginx is.
local request_type = ffi.typeof "ngx_http_request_t *"

local function request_of()
  local address = B.F.request_address()
  return address ~= 0 and ffi.cast(request_type, address) or nil
end

base.get_request = request_of

function base.set_request_getter() end

function base.check_subsystem(...)
  for i = 1, select("#", ...) do
    if select(i, ...) == "http" then
      return
    end
  end
  error("unsupported subsystem: http", 3)
end

base.allows_subsystem = base.check_subsystem

function base.ref_in_table(t, value)
  if value == nil then
    return -1
  end
  local ref = t[0] or 0
  if ref ~= 0 then
    t[0] = t[ref]
  else
    ref = #t + 1
  end
  t[ref] = value
  return ref
end

B.module("resty.core.base", base)
B.module("resty.core", { version = VERSION })

local parts = {
  "regex", "base64", "hash", "uri", "exit", "shdict", "var", "ctx", "misc", "time", "worker", "phase",
  "ndk", "request", "response", "socket", "param", "coroutine", "utils",
}
for _, part in ipairs(parts) do
  B.module("resty.core." .. part, { version = VERSION })
end

local function literal(s)
  return (s:gsub("%W", "%%%0"))
end

B.module("resty.core.utils", {
  version = VERSION,
  str_replace_char = function(s, find, replace)
    if not s:find(find, 1, true) then
      return s
    end
    return (s:gsub(literal(find), (replace:gsub("%%", "%%%%"))))
  end,
})

B.module("resty.core.time", {
  version = VERSION,
  monotonic_msec = function() return B.F.monotonic_ms() end,
  monotonic_time = function() return B.F.monotonic_ms() / 1000 end,
})

B.module("resty.core.ctx", {
  version = VERSION,
  -- The table of ngx.ctx: the given one, if none was made yet.
  get_ctx_table = function(fresh)
    if fresh and not B.N["var.ctx"]() then
      B.ngx.ctx = fresh
    end
    return B.ngx.ctx
  end,
})

-- The running request, as code asks for it that is linked with OpenResty's LuaJIT.
B.module("thread.exdata", request_of)
exdata = request_of

package.loaded["resty.core"] = { version = VERSION }
package.loaded["resty.core.base"] = base
