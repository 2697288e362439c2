-- ngx.timer
local B = ...
local N, timer = B.N, B.ngx.timer

timer.at = N["timer.at"]
timer.every = N["timer.every"]
timer.running_count = N["timer.running_count"]
timer.pending_count = N["timer.pending_count"]
