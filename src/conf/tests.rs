//! The language as a whole, with a handful of rows.

use bstr::ByteSlice;

use super::row::{
    Arity, EVENTS, HTTP, HTTP_LEVELS, LOCATION, MAIN, Row, SERVER, args, at_least, block, flag,
    lua_block, raw_block, row, take,
};
use super::*;

const ROWS: &[Row] = &[
    flag("daemon", MAIN, |b, d| d.flag_slot(&mut b.part::<Main>().daemon)),
    block("events", MAIN, take(0), EVENTS, |b, d| {
        let scope = b.block(d, Scope::new());
        b.part::<Main>().events = Some(scope);
        Ok(())
    }),
    row("worker_connections", EVENTS, take(1), |b, d| {
        d.number_slot(&mut b.part::<Main>().connections)
    }),
    block("http", MAIN, take(0), HTTP, |b, d| {
        b.block(d, Scope::new());
        Ok(())
    }),
    block("server", HTTP, take(0), SERVER, |b, d| {
        b.block(d, Scope::new());
        Ok(())
    }),
    block("location", SERVER | LOCATION, args(1, 2), LOCATION, |b, d| {
        b.block(d, Scope::new());
        Ok(())
    }),
    row("listen", SERVER, at_least(1), |_, d| match d.arg_count() {
        1 => Ok(()),
        _ => Err(d.bad_param(2)),
    }),
    row("server_name", SERVER, at_least(1), |_, _| Ok(())),
    row("root", HTTP_LEVELS, take(1), |b, d| d.str_slot(&mut b.part::<Main>().root)),
    raw_block("types", HTTP_LEVELS, take(0), |b, d| {
        b.entries(d, |b, entry| match entry.arg(1) == "twice" {
            true => {
                b.warn("duplicate extension \"twice\"");
                Ok(())
            }
            false => Ok(()),
        });
        Ok(())
    }),
    lua_block("content_by_lua_block", LOCATION, TAKE_NONE, |_, d| match d.lua() {
        Some(lua) if !lua.text.trim().is_empty() => Ok(()),
        _ => Err(Diag::emerg("invalid location config: no runnable Lua code")),
    }),
];

const TAKE_NONE: Arity = take(0);

#[derive(Default)]
struct Main {
    daemon: Option<bool>,
    events: Option<Scope>,
    connections: Option<u64>,
    root: Option<bstr::BString>,
}

impl Part for Main {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: root);
    }
}

fn needs_events(b: &mut Builder<'_>) -> Result<(), Diag> {
    match b.main::<Main>().events {
        Some(_) => Ok(()),
        None => Err(Diag::emerg("no \"events\" section in configuration")),
    }
}

/// Everything `-t` would print about these files, the first of which is the main one.
fn complaints(files: &[(&str, &str)], parameter: &str) -> String {
    let memory = Memory(files.iter().map(|(n, t)| ((*n).into(), t.as_bytes().to_vec())).collect());
    let parsed = parse(&memory, files[0].0.as_bytes().as_bstr(), parameter.as_bytes());
    let dirs = Dirs { prefix: "/p/".into(), conf: "/p/conf/".into() };
    let (_, diags) = build(&parsed, &Table::new(&[ROWS]), &dirs, Scope::new(), &[needs_events]);
    diags.iter().map(|diag| diag.render(&parsed.sources) + "\n").collect()
}

#[track_caller]
fn check(text: &str, want: &[&str]) {
    let all = complaints(&[("/c/nginx.conf", &format!("{text}\nevents {{}}\n"))], "");
    let got: Vec<_> = all.lines().filter_map(|line| line.strip_prefix("nginx: [emerg] ")).collect();
    assert_eq!(got, want, "in full:\n{all}");
}

#[track_caller]
fn check_words(text: &str, want: &[&str]) {
    let parsed = parse_bytes(format!("x {text};").as_bytes());
    assert_eq!(parsed.diags, [], "{text}");
    let words = parsed.items[0].args().iter();
    assert_eq!(words.map(|word| word.text.to_string()).collect::<Vec<_>>(), want, "{text}");
}

#[test]
fn words() {
    check_words("a b\tc\r\nd", &["a", "b", "c", "d"]);
    check_words(r#""a b" 'c "d'"#, &["a b", "c \"d"]);
    check_words(r#"a"b c'd"#, &["a\"b", "c'd"]);
    check_words(r#""\" \' \\ \t\r\n \x""#, &["\" ' \\ \t\r\n \\x"]);
    check_words(r"a\ b \; \#c", &["a\\ b", "\\;", "\\#c"]);
    check_words("${a}b \"${a\" ${{}", &["${a}b", "${a", "${{}"]);
    check_words("a#b # c ; d\n e", &["a#b", "e"]);
    check_words("($a = \"b\")", &["($a", "=", "b", ")"]);
    check_words("\"\" ''", &["", ""]);
    check_words("a}b", &["a}b"]);
    check_words("^/(.*)\\.html$ ~[0-9]+", &["^/(.*)\\.html$", "~[0-9]+"]);
}

#[test]
fn trees() {
    let parsed = parse_bytes(b"a 'b c' { d; set_by_lua_block $x { return [[}]] } e { } }");
    assert_eq!(
        dump::tree(&parsed.items),
        "a \"b c\" {\n  d;\n  set_by_lua_block $x { lua \" return [[}]] \" }\n  e {\n  }\n}\n"
    );
}

#[test]
fn nginx_says_the_same() {
    check("daemon on;", &[]);
    check("demon on;", &["unknown directive \"demon\" in /c/nginx.conf:1"]);
    check("listen 80;", &["\"listen\" directive is not allowed here in /c/nginx.conf:1"]);
    check("daemon;", &["invalid number of arguments in \"daemon\" directive in /c/nginx.conf:1"]);
    check(
        "daemon\nyes\n;",
        &["invalid value \"yes\" in \"daemon\" directive, it must be \"on\" or \"off\" \
           in /c/nginx.conf:3"],
    );
    check("daemon on; daemon on;", &["\"daemon\" directive is duplicate in /c/nginx.conf:1"]);
    check(
        "events { worker_connections 1k; }",
        &["\"worker_connections\" directive invalid number in /c/nginx.conf:1"],
    );
    check("daemon on {}", &["directive \"daemon\" is not terminated by \";\" in /c/nginx.conf:1"]);
    check("http;", &["directive \"http\" has no opening \"{\" in /c/nginx.conf:1"]);
    check("}", &["unexpected \"}\" in /c/nginx.conf:1"]);
    check(";", &["unexpected \";\" in /c/nginx.conf:1"]);
    check("{}", &["unexpected \"{\" in /c/nginx.conf:1"]);
    check("daemon \"on\"x;", &["unexpected \"x\" in /c/nginx.conf:1"]);
    check("http { types { a { } } }", &["unexpected \"{\" in /c/nginx.conf:1"]);
    check(
        "include /c/none.conf;",
        &["open() \"/c/none.conf\" failed (2: No such file or directory) in /c/nginx.conf:1"],
    );
    check("include none/*.conf;", &[]);
    check("include;", &["invalid number of arguments in \"include\" directive in /c/nginx.conf:1"]);
    check(
        "include nginx.conf;",
        &["open() \"/c/nginx.conf\" failed (24: Too many open files) in /c/nginx.conf:1"],
    );
    let long = "x".repeat(5000);
    check(
        &format!("root {long};"),
        &["too long parameter \"xxxxxxxxxx...\" started in /c/nginx.conf:1"],
    );
    check(
        &format!("\nroot '{long};\n{long};"),
        &[
            "too long parameter, probably missing terminating \"'\" character in /c/nginx.conf:2",
            "too long parameter \"xxxxxxxxxx...\" started in /c/nginx.conf:3",
        ],
    );
}

#[test]
fn one_run_tells_all() {
    check(
        "foo;\nhttp {\n  bar;\n  server {\n    listen 80 }\n  }\n  types { }\n}\nbaz;",
        &[
            "unknown directive \"foo\" in /c/nginx.conf:1",
            "unknown directive \"bar\" in /c/nginx.conf:3",
            "unexpected \"}\" in /c/nginx.conf:5",
            "\"types\" directive is not allowed here in /c/nginx.conf:7",
            "unexpected \"}\" in /c/nginx.conf:8",
            "unknown directive \"baz\" in /c/nginx.conf:9",
        ],
    );
}

#[test]
fn ends_of_files() {
    for (text, want) in [
        ("daemon", "unexpected end of file, expecting \";\" or \"}\" in /c/nginx.conf:1"),
        ("daemon \"on", "unexpected end of file, expecting \";\" or \"}\" in /c/nginx.conf:1"),
        ("http {\n", "unexpected end of file, expecting \"}\" in /c/nginx.conf:2"),
        (
            "http { server { location / { content_by_lua_block {\n x {\n }",
            "unexpected end of file, expecting terminating characters for lua code block \
             in /c/nginx.conf:2",
        ),
    ] {
        let all = complaints(&[("/c/nginx.conf", text)], "");
        assert!(all.starts_with(&format!("nginx: [emerg] {want}\n")), "{text}: {all}");
        assert_eq!(all.matches("unexpected").count(), 1, "{text}: {all}");
    }
}

#[test]
fn command_line() {
    let conf = [("/c/nginx.conf", "events {}")];
    assert_eq!(complaints(&conf, "daemon off;"), "");
    for (parameter, want) in [
        ("daemon off", "unexpected end of parameter, expecting \";\" in command line"),
        ("http { }", "block directives are not supported in -g option in command line"),
        ("dæmon on;", "unknown directive \"dæmon\" in command line"),
    ] {
        let all = complaints(&conf, parameter);
        assert!(all.starts_with(&format!("nginx: [emerg] {want}\n")), "{parameter}: {all}");
    }
}

#[test]
fn complaints_show_the_place() {
    let files = [
        ("/c/nginx.conf", "events {}\nhttp {\n  include d/*.conf;\n}\n"),
        ("/c/d/a.conf", "server {\n\tlisten 80\n\tserver_name x;\n}\n"),
        ("/c/d/b.conf", "serve {\n}\nserver {\n  http {\n    root /;\n  }\n}\n"),
    ];
    let want = r#"nginx: [emerg] invalid parameter "server_name" in /c/d/a.conf:3
    3 | 	server_name x;
      | 	^^^^^^^^^^^
      = included from /c/nginx.conf:3
      = hint: is a ";" missing after "80" on line 2? "server_name" is read as its argument
nginx: [emerg] unknown directive "serve" in /c/d/b.conf:1
    1 | serve {
      | ^^^^^
      = included from /c/nginx.conf:3
      = hint: did you mean "server"?
nginx: [emerg] "http" directive is not allowed here in /c/d/b.conf:4
    4 |   http {
      |   ^^^^
      = included from /c/nginx.conf:3
      = hint: "http" is an outermost block: write http { … server { … } … }, and move what
"#;
    let got = complaints(&files, "")
        .replace(" stands in this \"http\" into that one, before \"server\"", "");
    assert_eq!(got, want);
}

#[test]
fn the_missing_brace_is_found_by_indentation() {
    let text = "events {}\nhttp {\n  server {\n    location / {\n      root /;\n  }\n}\n";
    let all = complaints(&[("/c/nginx.conf", text)], "");
    assert!(all.contains("it is \"location\" of line 4 that"), "{all}");
    let text = "events {}\nhttp {\n  server {\n    root /;\n    }\n  }\n}\n";
    let all = complaints(&[("/c/nginx.conf", text)], "");
    assert!(all.contains("\"}\" on line 5 already closes \"server\" of line 3"), "{all}");
}

#[test]
fn lua_goes_on_after_a_mistake() {
    check(
        "http {\n server {\n  location / {\n   content_by_lua_block {\n    x = [[ y\n   }\n  }\n \
         location\n }\n}",
        &[
            "Lua code block missing the closing long bracket \"]]\", the inlined Lua code may be \
             too long in /c/nginx.conf:5",
            "unexpected \"}\" in /c/nginx.conf:9",
        ],
    );
}
