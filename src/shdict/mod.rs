//! The shared state table behind `ngx.shared.DICT`, knowing no Lua.
