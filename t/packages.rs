//! Lua libraries of the distribution, unmodified, against the real servers they are made for.
//!
//! ```text
//!   t/packages/NAME.lua -> server under test -> redis-server, memcached, a DNS server of ours
//! ```
//!
//! These cases hold for nginx too, so they run in oracle mode as well.

mod peers;

use std::path::Path;

use crate::harness::case::{Case, Outcome};
use crate::harness::client;
use crate::harness::modes::Mode;
use crate::harness::server::{Prefix, Program, Server, free_port};
use peers::{DnsServer, Peer};

pub fn cases() -> Vec<Case> {
    let case = |row: &'static Row| {
        Case::shared(format!("packages/{}", row.name), move || {
            let program = match Mode::from_env() {
                Ok(mode) if mode.oracle => Program::Oracle,
                Ok(_) => Program::Ours,
                Err(complaint) => return Outcome::Failed(complaint),
            };
            match program.missing().or_else(|| row.missing()) {
                Some(reason) => Outcome::Skipped(reason),
                None => Outcome::from(row.run(program)),
            }
        })
    };
    ROWS.iter().map(case).collect()
}

/// One library: what its script says.
struct Row {
    /// The script is `t/packages/NAME.lua`.
    name: &'static str,
    /// The Debian package, and a file of it.
    package: &'static str,
    file: &'static str,
    peer: Needs,
    said: &'static str,
}

enum Needs {
    Nothing,
    Redis,
    Memcached,
    Dns,
}

impl Row {
    fn missing(&self) -> Option<String> {
        let absent = |package: &str| Some(format!("{package} is not installed"));
        match self.peer {
            _ if !Path::new(self.file).exists() => absent(self.package),
            Needs::Redis if !Path::new(peers::REDIS).exists() => absent("redis-server"),
            Needs::Memcached if !Path::new(peers::MEMCACHED).exists() => absent("memcached"),
            _ => None,
        }
    }

    fn run(&self, program: Program) -> Result<(), String> {
        let prefix = Prefix::new()?;
        let port = free_port();
        let peer_port = free_port();
        let _peer = match self.peer {
            Needs::Redis => Some(Peer::redis(prefix.path(), peer_port)?),
            Needs::Memcached => Some(Peer::memcached(peer_port)?),
            _ => None,
        };
        let _dns = match self.peer {
            Needs::Dns => Some(DnsServer::start(peer_port)?),
            _ => None,
        };
        let conf = configuration(program, port, peer_port, self.name);
        let mut server = Server::start(program, prefix, &conf, port)?;
        let answer = client::get(port, "/t").map_err(|e| format!("{e}\n{}", server.error_log()))?;
        let said = answer.body_text();
        if answer.status != 200 || said != self.said {
            let log = server.error_log();
            return Err(format!("{} {said}\nwanted {}\n{log}", answer.status, self.said));
        }
        server.stop(&[])
    }
}

/// The default paths must lead to the packages, except where a built-in module would answer first.
fn configuration(program: Program, port: u16, peer_port: u16, script: &str) -> String {
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/t/packages");
    let explicit = if matches!(script, "lrucache" | "cjson") {
        "lua_package_path \"/usr/share/lua/5.1/?.lua;;\";\n    \
         lua_package_cpath \"/usr/lib/x86_64-linux-gnu/lua/5.1/?.so;\
         /usr/lib/aarch64-linux-gnu/lua/5.1/?.so;;\";"
    } else {
        ""
    };
    format!(
        "{}user root;\nworker_processes 1;\ndaemon off;\nmaster_process off;\n\
         error_log logs/error.log notice;\npid logs/nginx.pid;\nevents {{ }}\n\
         http {{\n    access_log off;\n    {explicit}\n    \
         server {{\n        listen {port};\n        set $peer_port {peer_port};\n        \
         location = /t {{ content_by_lua_file {scripts}/{script}.lua; }}\n        \
         location = /peer {{ content_by_lua_file {scripts}/{script}_peer.lua; }}\n    }}\n}}\n",
        program.preamble()
    )
}

const ROWS: &[Row] = &[
    Row {
        name: "redis",
        package: "lua-nginx-redis",
        file: "/usr/share/lua/5.1/nginx/redis.lua",
        peer: Needs::Redis,
        said: "OK\nan animal\nnull\n3\na b c\nOK 1 2 bad: ERR value is not an integer or out of range\n\
               field value\nmessage news hello\n100000 true\nreused 1\n",
    },
    Row {
        name: "memcached",
        package: "lua-nginx-memcached",
        file: "/usr/share/lua/5.1/nginx/memcached.lua",
        peer: Needs::Memcached,
        said: "1\nvalue 7\nNOT_STORED\n1\n1,2\n12\n11\nNOT_FOUND\nnil\n100000 true\nreused 1\n",
    },
    Row {
        name: "websocket",
        package: "lua-nginx-websocket",
        file: "/usr/share/lua/5.1/nginx/websocket/client.lua",
        peer: Needs::Nothing,
        said: "text: you said hello\nbinary: 70000\npong: are you there\nclose: 1000 enough\n",
    },
    Row {
        name: "string",
        package: "lua-nginx-string",
        file: "/usr/share/lua/5.1/nginx/string.lua",
        peer: Needs::Nothing,
        said: "5d41402abc4b2a76b9719d911017c592\naaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d\n\
               2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\n64\n\
               16 16\nsecret\n42\n",
    },
    Row {
        name: "cookie",
        package: "lua-nginx-cookie",
        file: "/usr/share/lua/5.1/nginx/cookie.lua",
        peer: Needs::Nothing,
        said: "a=1 b=two\nnone\n\
               Name=Bob; Expires=Wed, 09 Jun 2021 10:18:14 GMT; Max-Age=50; Domain=example.com; \
               Path=/; Secure; HttpOnly\n",
    },
    Row {
        name: "dns",
        package: "lua-nginx-dns",
        file: "/usr/share/lua/5.1/nginx/dns/resolver.lua",
        peer: Needs::Dns,
        said: "one.test 127.0.0.9 60\nbig.test 127.0.0.9 60\n3 name error\n4.3.2.1.in-addr.arpa\n",
    },
    Row {
        name: "lrucache",
        package: "lua-resty-lrucache",
        file: "/usr/share/lua/5.1/resty/lrucache.lua",
        peer: Needs::Nothing,
        said: "1 nil 3\n2\nnil old\n1 nil 3\n",
    },
    Row {
        name: "cjson",
        package: "lua-cjson",
        file: "/usr/share/lua/5.1/cjson/util.lua",
        peer: Needs::Nothing,
        said: "2.1.0\n{\"a\":[1,2,null]}\ntrue x\n\
               Expected value but found invalid token at character 1\n",
    },
    Row {
        name: "core",
        package: "lua-resty-core",
        file: "/usr/share/lua/5.1/resty/core.lua",
        peer: Needs::Nothing,
        said: "string\n1 b\nvalue\ndGV4dA\ntrue\n",
    },
];
