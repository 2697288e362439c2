-- resty.shell: runs a command to its end, with what it reads and writes as strings.
local pipe = require "ngx.pipe"
local spawn, wait, kill_thread = ngx.thread.spawn, ngx.thread.wait, ngx.thread.kill
local sleep, tostring, pcall = ngx.sleep, tostring, pcall

local SIGTERM, SIGKILL = 15, 9
local DEFAULT_SIZE_MAX = 128 * 1024

local shell = { version = 0.03 }

-- One byte more than allowed tells that there is too much.
local function read_all(proc, method, size_max)
  local data, err, partial = proc[method](proc, size_max + 1)
  if data then
    return data, "too much data"
  end
  if err == "closed" then
    return partial or ""
  end
  return partial or "", err
end

local function finish(proc)
  if proc:kill(SIGTERM) then
    sleep(0.001)
    proc:kill(SIGKILL)
  end
end

-- The data and the complaint of a reader; a reader that still waits is ended.
local function collect(reader, is_over)
  if not is_over then
    local ok = kill_thread(reader.thread)
    if ok then
      return reader.data
    end
  end
  local ok, data, err = wait(reader.thread)
  if not ok then
    return nil, nil, tostring(data)
  end
  return data, err
end

local function start_reader(proc, name, size_max)
  local thread, err = spawn(read_all, proc, name .. "_read_bytes", size_max)
  return { thread = thread, data = "" }, err
end

local function feed(proc, stdin)
  if stdin and stdin ~= "" then
    local bytes, err = proc:write(stdin)
    if not bytes then
      finish(proc)
      return "failed to write to stdin: " .. tostring(err)
    end
  end
  local ok, err = proc:shutdown("stdin")
  if not ok then
    finish(proc)
    return "failed to shutdown stdin: " .. tostring(err)
  end
end

function shell.run(cmd, stdin, timeout, size_max)
  size_max = size_max or DEFAULT_SIZE_MAX
  local proc, err = pipe.spawn(cmd, { buffer_size = size_max })
  if not proc then
    return nil, nil, nil, "failed to spawn: " .. tostring(err)
  end
  if timeout then
    proc:set_timeouts(timeout, timeout, timeout, timeout)
  end
  err = feed(proc, stdin)
  if err then
    return nil, nil, nil, err
  end
  local out, errors = start_reader(proc, "stdout", size_max), start_reader(proc, "stderr", size_max)
  local ok, reason, status = proc:wait()
  if ok == nil then
    finish(proc)
  end
  local stdout, out_err, out_fault = collect(out, true)
  local stderr, errors_err, errors_fault = collect(errors, true)
  if ok == nil then
    return nil, stdout, stderr, "failed to wait for process: " .. tostring(reason)
  end
  if out_fault or out_err then
    local what = out_fault and "failed to wait stdout thread: " or "failed to read stdout: "
    return nil, stdout, stderr, what .. (out_fault or out_err)
  end
  if errors_fault or errors_err then
    local what = errors_fault and "failed to wait stderr thread: " or "failed to read stderr: "
    return nil, stdout, stderr, what .. (errors_fault or errors_err)
  end
  return ok, stdout, stderr, reason, status
end

return shell
