-- ngx.upstream, as lua-upstream-nginx-module has it
local B = ...
local N = B.N

B.module("ngx.upstream", {
  get_upstreams = N["upstream.get_upstreams"],
  get_servers = N["upstream.get_servers"],
  get_primary_peers = N["upstream.get_primary_peers"],
  get_backup_peers = N["upstream.get_backup_peers"],
  set_peer_down = N["upstream.set_peer_down"],
  current_upstream_name = N["upstream.current_upstream_name"],
})
