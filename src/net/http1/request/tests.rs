use super::*;

fn parse_with(rules: Rules, text: &[u8]) -> Result<RequestHead, BadRequest> {
    // Byte by byte: the answer must not depend on how the bytes arrive.
    let mut parser = Parser::new(rules);
    for end in 0..=text.len() {
        loop {
            match parser.step(&text[..end])? {
                Step::More => break,
                Step::Line | Step::Host => {}
                Step::Done => {
                    let raw = Bytes::copy_from_slice(&text[..parser.head_len()]);
                    return Ok(parser.finish(raw));
                }
            }
        }
    }
    panic!("incomplete: {}", text.as_bstr())
}

fn parse(text: &str) -> Result<RequestHead, BadRequest> {
    let whole = parse_whole(text.as_bytes());
    let piecewise = parse_with(Rules::default(), text.as_bytes());
    assert_eq!(whole.as_ref().err(), piecewise.as_ref().err(), "{text}");
    piecewise
}

fn parse_whole(text: &[u8]) -> Result<RequestHead, BadRequest> {
    let mut parser = Parser::new(Rules::default());
    while parser.step(text)? != Step::Done {}
    let raw = Bytes::copy_from_slice(&text[..parser.head_len()]);
    Ok(parser.finish(raw))
}

fn error(text: &str) -> (u16, String) {
    let e = parse(text).unwrap_err();
    (e.status, e.to_string())
}

#[test]
fn a_usual_request() {
    let head =
        parse("\r\nGET /a?b=c HTTP/1.1\r\nHost: X.com:81\r\nx-y:  z w \r\nEmpty:\r\n\r\n").unwrap();
    assert_eq!(head.line.method, Method::Get);
    assert_eq!(head.line.target.of(&head.raw), b"/a?b=c");
    assert_eq!(head.line.whole.of(&head.raw), b"GET /a?b=c HTTP/1.1");
    assert_eq!(head.line.protocol.of(&head.raw), b"HTTP/1.1");
    assert!(!head.line.complex);
    assert_eq!(head.host, Some(Host { name: "x.com".into(), port: 81 }));
    let lines: Vec<_> = head.lines().collect();
    assert_eq!(lines[1], (&b"x-y"[..], &b"z w"[..]));
    assert_eq!(lines[2], (&b"Empty"[..], &b""[..]));
    assert!(head.raw_header().starts_with(b"GET /a"));
}

#[test]
fn forms_of_targets() {
    let target = |text: &str| {
        let head = parse(text).unwrap();
        let host = head.host.map(|h| h.name.to_string()).unwrap_or_default();
        (head.line.target.of(&head.raw).to_str_lossy().into_owned(), host)
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(target("GET http://A:80/x?y HTTP/1.0\r\n\r\n"), pair("/x?y", "a"));
    assert_eq!(target("GET http://a HTTP/1.0\r\nHost: b\r\n\r\n"), pair("/", "a"));
    assert_eq!(target("GET http://a?q HTTP/1.0\r\n\r\n"), pair("?q", "a"));
    assert_eq!(target("GET  /x  HTTP/1.0  \n\n"), pair("/x", ""));
    assert_eq!(parse("GET /x\r\n").unwrap().line.version, 9);
    let tunnel = Rules { allow_connect: true, ..Rules::default() };
    let head = parse_with(tunnel, b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!((head.line.target.of(&head.raw), head.host.unwrap().port), (&b"/"[..], 443));
}

#[test]
fn complex_targets_are_marked() {
    let complex = |target: &str| parse(&format!("GET {target} HTTP/1.0\r\n\r\n")).unwrap().line;
    for target in ["/a%20b", "/a/../b", "//a", "/a#b", "/a?b#c", "http://a?b"] {
        assert!(complex(target).complex, "{target}");
    }
    for target in ["/a?b=%20&c=/../d//e", "/a.b+c", "/a\u{e9}"] {
        assert!(!complex(target).complex, "{target}");
    }
}

#[test]
fn bodies() {
    let framing = |headers: &str| {
        parse(&format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n")).map(|head| head.framing)
    };
    assert_eq!(framing("Content-Length: 12\r\n"), Ok(Framing::Length(12)));
    assert_eq!(framing("transfer-encoding: Chunked\r\n"), Ok(Framing::Chunked));
    for (headers, status) in [
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Content-Length: 1\r\nContent-Length: 1\r\n", 400),
        ("Content-Length: +1\r\n", 400),
        ("Content-Length:\r\n", 400),
        ("Content-Length: 9223372036854775808\r\n", 400),
        ("Transfer-Encoding: gzip\r\n", 501),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding : chunked\r\n", 400),
        ("Content-Length: 1\r\n folded\r\n", 400),
    ] {
        assert_eq!(framing(headers).unwrap_err().status, status, "{headers}");
    }
}

#[test]
fn errors_are_worded_as_nginx_words_them() {
    let line = " while reading client request line";
    let headers = " while reading client request headers";
    for (text, status, message, stage) in [
        ("get / HTTP/1.1\r\n", 400, "client sent invalid method", line),
        ("GET x HTTP/1.1\r\n", 400, "client sent invalid request", line),
        ("GET / HTTP/2.0\r\n", 505, "client sent invalid version", line),
        ("POST /\r\n", 400, "client sent invalid method in HTTP/0.9 request", line),
        ("GET http://a..b/ HTTP/1.1\r\n", 400, "client sent invalid host in request line", line),
        (
            "GET / HTTP/1.1\r\n\r\n",
            400,
            "client sent HTTP/1.1 request without \"Host\" header",
            headers,
        ),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "client sent invalid host header", headers),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            400,
            "client sent duplicate host header: \"Host: b\", previous value: \"Host: a\"",
            headers,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n",
            400,
            "client sent invalid header line: \"\\x20...\"",
            headers,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nb: c\rd\r\n\r\n",
            400,
            "client sent invalid header line: \"b: c\\x0d...\"",
            headers,
        ),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "client sent TRACE method", headers),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            "client sent HTTP/1.0 request with \"Transfer-Encoding\" header",
            headers,
        ),
    ] {
        assert_eq!(error(text), (status, format!("{message}{stage}")), "{text:?}");
    }
}

#[test]
fn invalid_names_are_ignored_or_kept() {
    let text = b"GET / HTTP/1.0\r\na_b: 1\r\nc@d: 2\r\n\r\n";
    let count = |rules| parse_with(rules, text).unwrap().headers.len();
    assert_eq!(count(Rules::default()), 0);
    assert_eq!(count(Rules { underscores_in_headers: true, ..Rules::default() }), 1);
    assert_eq!(count(Rules { ignore_invalid_headers: false, ..Rules::default() }), 2);
    let mut parser = Parser::new(Rules::default());
    while parser.step(text).unwrap() != Step::Done {}
    assert_eq!(
        parser.take_ignored()[0],
        "client sent invalid header line: \"a_b: 1\" while reading client request headers"
    );
}

#[test]
fn sizes_are_those_of_nginx_buffers() {
    let sizes = Sizes { first_bytes: 64, large_count: 2, large_bytes: 128 };
    let rules = Rules { sizes, ..Rules::default() };
    let status =
        |text: String| parse_with(rules, text.as_bytes()).map(|_| ()).map_err(|e| e.status);
    let target = |n: usize| format!("GET /{} HTTP/1.0\r\n\r\n", "a".repeat(n));
    assert_eq!(status(target(30)), Ok(()));
    assert_eq!(status(target(128 - 16)), Ok(()));
    assert_eq!(status(target(128)), Err(414));
    let header = |n: usize| format!("GET / HTTP/1.0\r\na: {}\r\n\r\n", "b".repeat(n));
    assert_eq!(status(header(100)), Ok(()));
    assert_eq!(status(header(128)), Err(494));
    let many = |n: usize| format!("GET / HTTP/1.0\r\n{}\r\n", "a: bbbbbbbbbb\r\n".repeat(n));
    assert_eq!(status(many(15)), Ok(()));
    assert_eq!(status(many(40)), Err(494));
}
