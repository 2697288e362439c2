-- Time and dates; the phase a script is in.
local B = ...
local N, F, S, ngx = B.N, B.F, B.S, B.ngx
local C_now, C_time, C_update_time = F.now, F.time, F.update_time

function ngx.now()
  return C_now()
end

function ngx.time()
  return C_time()
end

function ngx.update_time()
  C_update_time()
end

ngx.today = N["time.today"]
ngx.localtime = N["time.localtime"]
ngx.utctime = N["time.utctime"]
ngx.http_time = N["time.http_time"]
ngx.cookie_time = N["time.cookie_time"]
ngx.parse_http_time = N["time.parse_http_time"]

local words = {}

-- The number of the phase, as resty.core has it.
function ngx.get_raw_phase()
  return S.phase
end

function ngx._phase_ctx()
  return S.phase
end

function ngx.get_phase()
  local phase = S.phase
  local word = words[phase]
  if not word then
    word = N["phase.word"]()
    words[phase] = word
  end
  return word
end
