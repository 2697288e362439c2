-- jit.bcsave: writes the bytecode of a script, as `luajit -b` does; raw files only, which is what
-- content_by_lua_file and its kin take.
--
--   bcsave.start("-s", "in.lua", "out.luac")      stripped; -g keeps what debuggers want
--   bcsave.start("-g", "-e", "return 1", "-")     code instead of a file, standard output
local loadstring, loadfile, dump, open = loadstring, loadfile, string.dump, io.open

local function check(ok, ...)
  if ok then
    return ok, ...
  end
  error("bcsave: " .. tostring((...)), 3)
end

local function read(input)
  if input ~= "-" then
    return check(loadfile(input))
  end
  return check(loadstring(io.stdin:read("*a"), "=stdin"))
end

local function save(output, code)
  if output == "-" then
    io.stdout:write(code)
    return
  end
  local file, err = open(output, "wb")
  check(file, err)
  check(file:write(code))
  check(file:close())
end

local bcsave = {}

function bcsave.start(...)
  local strip, code, files, only_options = true, nil, {}, true
  local args, at = { ... }, 1
  while args[at] do
    local arg = args[at]
    if not only_options or arg == "-" or arg:sub(1, 1) ~= "-" then
      files[#files + 1] = arg
    elseif arg == "--" then
      only_options = false
    elseif arg == "-s" then
      strip = true
    elseif arg == "-g" then
      strip = false
    elseif arg == "-e" then
      at = at + 1
      code = args[at]
    elseif arg == "-t" or arg == "-n" or arg == "-F" then
      -- The kind of the file, and names in it: raw bytecode has neither.
      at = at + 1
      check(arg ~= "-t" or args[at] == "raw", "only raw files are written")
    else
      check(nil, "unknown option " .. arg)
    end
    at = at + 1
  end
  local func
  if code then
    check(#files == 1, "one output file is wanted")
    func = check(loadstring(code, "=(command line)"))
  else
    check(#files == 2, "an input and an output file are wanted")
    func = read(table.remove(files, 1))
  end
  save(files[1], dump(func, strip))
end

return bcsave
