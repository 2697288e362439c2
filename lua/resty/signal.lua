-- resty.signal: signals by name, sent to a process.
local ffi = require "ffi"
local C, type, tonumber, error = ffi.C, type, tonumber, error

ffi.cdef [[
  int kill(int pid, int sig);
  char *strerror(int errnum);
]]

-- Linux's numbers.
local NUMBERS = {
  NONE = 0, HUP = 1, INT = 2, QUIT = 3, ILL = 4, TRAP = 5, ABRT = 6, BUS = 7, FPE = 8, KILL = 9,
  USR1 = 10, SEGV = 11, USR2 = 12, PIPE = 13, ALRM = 14, TERM = 15, CHLD = 17, CONT = 18,
  STOP = 19, TSTP = 20, TTIN = 21, TTOU = 22, URG = 23, XCPU = 24, XFSZ = 25, VTALRM = 26,
  PROF = 27, WINCH = 28, IO = 29, PWR = 30, SYS = 31,
}

local signal = { version = 0.03 }

function signal.signum(name)
  local number = NUMBERS[name]
  if not number then
    return nil, "unknown signal name"
  end
  return number
end

function signal.kill(pid, sig)
  local number = sig
  if type(sig) == "string" then
    local err
    number, err = signal.signum(sig)
    if not number then
      return nil, err
    end
  elseif type(sig) ~= "number" then
    error("bad signal: name or number expected, got " .. type(sig), 2)
  end
  if C.kill(tonumber(pid), number) == 0 then
    return true
  end
  return nil, ffi.string(C.strerror(ffi.errno()))
end

return signal
