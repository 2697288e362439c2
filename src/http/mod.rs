//! The HTTP server: requests, phases, filters, proxy; offers hooks, knows no Lua.
