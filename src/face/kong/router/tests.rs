use serde_json::{Value, json};

use super::*;

fn route(id: &str, given: Value) -> Arc<Route> {
    let mut route: Route = serde_json::from_value(given).expect("a route");
    route.id = id.into();
    route.https_redirect_status_code = 426;
    Arc::new(route)
}

fn router(routes: &[(&str, Value)]) -> Router {
    Router::build(routes.iter().map(|(id, given)| route(id, given.clone())), |_| None)
}

fn ask(router: &Router, host: &str, method: &str, path: &str) -> String {
    let header = |name: &str| match name {
        "x-v" => vec!["Two".to_string()],
        _ => Vec::new(),
    };
    let facts = Facts { tls: false, host, port: 80, method, path, sni: None, header: &header };
    match router.find(&facts) {
        None => "-".into(),
        Some(found) => format!("{} {}", found.route.id, found.taken),
    }
}

#[test]
fn more_conditions_win_then_longer_paths_then_age() {
    let r = router(&[
        ("all", json!({"paths": ["/"], "created_at": 9.0})),
        ("a", json!({"paths": ["/a"], "created_at": 1.0})),
        ("ab", json!({"paths": ["/a/b", "/c"], "created_at": 2.0})),
        ("old", json!({"paths": ["/same"], "created_at": 1.0})),
        ("new", json!({"paths": ["/same"], "created_at": 2.0})),
        ("post", json!({"paths": ["/a"], "methods": ["POST"]})),
        ("host", json!({"hosts": ["x.org"]})),
    ]);
    assert_eq!(ask(&r, "h", "GET", "/zzz"), "all 1");
    assert_eq!(ask(&r, "h", "GET", "/abc"), "a 2");
    assert_eq!(ask(&r, "h", "GET", "/a/b/c"), "ab 4");
    assert_eq!(ask(&r, "h", "GET", "/same"), "old 5");
    assert_eq!(ask(&r, "h", "POST", "/a/b"), "post 2", "path and method beat a longer path");
    assert_eq!(
        ask(&r, "x.org", "GET", "/zzz"),
        "host 0",
        "of one condition each the host counts most"
    );
}

#[test]
fn hosts_plain_before_wildcards() {
    let r = router(&[
        ("left", json!({"hosts": ["*.x.org"]})),
        ("right", json!({"hosts": ["www.*"]})),
        ("plain", json!({"hosts": ["WWW.x.org"]})),
        ("port", json!({"hosts": ["p.org:80"]})),
    ]);
    assert_eq!(ask(&r, "www.x.org", "GET", "/"), "plain 0");
    assert_eq!(ask(&r, "a.b.x.org", "GET", "/"), "left 0");
    assert_eq!(ask(&r, "www.y.org", "GET", "/"), "right 0");
    assert_eq!(ask(&r, "p.org", "GET", "/"), "port 0");
    assert_eq!(ask(&r, "x.org", "GET", "/"), "-");
}

#[test]
fn regexes_before_prefixes_and_headers_count() {
    let r = router(&[
        ("prefix", json!({"paths": ["/user/long/path"]})),
        ("regex", json!({"paths": ["~/user/(?<id>\\w+)"]})),
        ("higher", json!({"paths": ["~/user/"], "regex_priority": 5})),
        ("header", json!({"headers": {"x-v": ["two"]}, "paths": ["/h"]})),
        ("other", json!({"headers": {"x-v": ["three"]}, "paths": ["/i"]})),
    ]);
    assert_eq!(ask(&r, "h", "GET", "/user/long/path"), "higher 6");
    assert_eq!(ask(&r, "h", "GET", "/h"), "header 2");
    assert_eq!(ask(&r, "h", "GET", "/i"), "-");
    let r = router(&[("regex", json!({"paths": ["~/user/(?<id>\\w+)"]}))]);
    let facts = Facts {
        tls: false,
        host: "h",
        port: 80,
        method: "GET",
        path: "/user/42/x",
        sni: None,
        header: &|_| Vec::new(),
    };
    let found = r.find(&facts).expect("it matches");
    assert_eq!((found.taken, &found.captures[1]), (8, &("id".to_string(), "42".to_string())));
}

#[test]
fn a_route_for_https_asks_for_it() {
    let r = router(&[("s", json!({"paths": ["/"], "protocols": ["https"]}))]);
    let facts = |tls| Facts {
        tls,
        host: "h",
        port: 80,
        method: "GET",
        path: "/",
        sni: None,
        header: &|_| Vec::new(),
    };
    assert_eq!(r.find(&facts(false)).and_then(|found| found.wants_tls), Some(426));
    assert_eq!(r.find(&facts(true)).map(|found| found.wants_tls), Some(None));
}
