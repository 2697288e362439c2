-- The code of a worker thread's VM: leaves of ngx only what needs no request, then calls functions
-- of modules and passes on what they return, `true` in front, or `false` and the reason.
local require, type, pcall = require, type, pcall

local allowed = {
  "encode_base64", "decode_base64", "decode_base64mime", "hmac_sha1", "encode_args", "decode_args",
  "escape_uri", "unescape_uri", "quote_sql_str", "crc32_short", "crc32_long", "md5", "md5_bin",
  "sha1_bin", "config", "shared", "null",
}

local limited = {}
for _, name in ipairs(allowed) do
  limited[name] = ngx[name]
end
ngx = limited
package.loaded.ngx = limited

return function(path, cpath, module, name, ...)
  package.path, package.cpath = path, cpath
  local ok, found = pcall(require, module)
  if not ok then
    return false, found
  end
  if type(found) ~= "table" then
    return false, "invalid lua module"
  end
  local f = found[name]
  if type(f) ~= "function" then
    return false, "invalid function"
  end
  return pcall(f, ...)
end
