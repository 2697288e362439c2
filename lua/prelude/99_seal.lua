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

-- Where Debian's packages of libraries are, as its nginx knows them too.
local ARCHES = { x64 = "x86_64", arm64 = "aarch64" }
local SYSTEM_PATH = ";/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua"
local SYSTEM_CPATH = ";/usr/lib/" .. (ARCHES[jit.arch] or jit.arch)
  .. "-linux-gnu/lua/5.1/?.so;/usr/lib/lua/5.1/?.so"

package.path = path_of(config.package_path, package.path .. SYSTEM_PATH)
package.cpath = path_of(config.package_cpath, package.cpath .. SYSTEM_CPATH)

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

-- The path without what the system has for everybody.
local function own(path, system)
  local at = path:find(system, 1, true)
  return at and path:sub(1, at - 1) .. path:sub(at + #system) or path
end

-- A user's own copy of a module wins over a built-in one; what the distribution has for every
-- program (its cjson lacks OpenResty's additions) only when the user's path names it.
table.insert(package.loaders, 2, function(name)
  local load = spares[name]
  if not load then
    return "\n\tno built-in module '" .. name .. "'"
  end
  local searchpath, cpath = package.searchpath, own(package.cpath, SYSTEM_CPATH)
  if searchpath(name, own(package.path, SYSTEM_PATH)) or searchpath(name, cpath)
    or searchpath(name:match("^[^.]*"), cpath) then
    return nil
  end
  return load
end)
