-- Packages, and the guard that tells of globals written by request code.
local B = ...
local config, spares = B.config, B.spares

-- ";;" in a path stands for the default.
local function path_of(wanted, default)
  if not wanted then
    return default
  end
  local put = { ["$prefix"] = config.prefix, ["${prefix}"] = config.prefix }
  put[";;"] = ";" .. default .. ";"
  local whole = wanted:gsub("%${prefix}", put):gsub("%$prefix", put):gsub(";;", put)
  return (whole:gsub("^;", ""):gsub(";$", ""))
end

package.path = path_of(config.package_path, package.path)
package.cpath = path_of(config.package_cpath, package.cpath)

-- Requests share the globals of a VM: who writes one there is warned.
local ngx, rawset, tostring, traceback = B.ngx, rawset, tostring, debug.traceback

setmetatable(_G, {
  __newindex = function(globals, name, value)
    rawset(globals, name, value)
    local phase = ngx.get_phase()
    if phase == "init" or phase == "init_worker" then
      return
    end
    ngx.log(ngx.WARN, "writing a global Lua variable ('", tostring(name), "') which may lead to ",
      "race conditions between concurrent requests, so prefer the use of 'local' variables",
      traceback("", 2))
  end,
})

-- Last of all searchers, so that a user's own copy of a module wins.
table.insert(package.loaders, function(name)
  local load = spares[name]
  if load then
    return load
  end
  return "\n\tno built-in module '" .. name .. "'"
end)
