-- Packages, and the guard that tells of globals written by request code.
local B = ...
local config, spares = B.config, B.spares

-- ";;" in a path stands for the default.
local function path_of(wanted, default)
  if not wanted then
    return default
  end
  local whole = wanted:gsub("%$prefix", (config.prefix:gsub("%%", "%%%%")))
  whole = whole:gsub(";;", (";" .. default .. ";"):gsub("%%", "%%%%"))
  return (whole:gsub("^;", ""):gsub(";$", ""))
end

package.path = path_of(config.package_path, package.path)
package.cpath = path_of(config.package_cpath, package.cpath)

-- Last of all searchers, so that a user's own copy of a module wins.
table.insert(package.loaders, function(name)
  local load = spares[name]
  if load then
    return load
  end
  return "\n\tno built-in module '" .. name .. "'"
end)
