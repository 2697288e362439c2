//! The LuaJIT host: VM, light threads, `ngx.*`.
