-- ngx.run_worker_thread
local B = ...
local ask, run = B.ask, B.N["worker_thread.run"]

function B.ngx.run_worker_thread(...)
  return ask(run(package.path, package.cpath, ...))
end
