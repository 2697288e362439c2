-- Time and dates; the phase a script is in.
local B = ...
local N, F, S, ngx = B.N, B.F, B.S, B.ngx
local C_now, C_update_time, clock = F.now, F.update_time, B.clock
local floor = math.floor

local function now()
  local shown = clock[0]
  return shown ~= 0 and shown or C_now()
end

ngx.now = now

function ngx.time()
  return floor(now())
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
