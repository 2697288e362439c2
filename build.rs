//! Exports the binary's symbols, so that LuaJIT's `ffi.C` finds our functions and Lua C modules find the Lua API.
fn main() {
    println!("cargo:rustc-link-arg-bins=-rdynamic");
}
