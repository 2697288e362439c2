use super::*;

fn members(set: &Set) -> String {
    (b' '..0x7f).filter(|&c| set.contains(c)).map(char::from).collect()
}

#[test]
fn sets_hold_what_nginx_lists() {
    assert_eq!(members(&URI), " \"#%<>?\\^`{|}");
    assert_eq!(members(&ARGS), " \"#%&+;<>?\\^`{|}");
    assert_eq!(members(&URI_COMPONENT), " !\"#$%&'()*+,/:;<=>?@[\\]^`{|}");
    assert_eq!(members(&REFRESH), " \"'<>\\^`{|~");
    assert_eq!(members(&LUA_URI_COMPONENT), " \"#$%&+,/:;<=>?@[\\]^`{|}");
    assert_eq!(members(&HEADER_NAME), " \"(),/:;<=>?@[\\]{}");
    assert!(!MEMCACHED.contains(0x80) && MEMCACHED.contains(b'\n'));
    assert!(!HEADER_VALUE.contains(b'\t') && HEADER_VALUE.contains(b'\r'));
}

#[test]
fn escapes() {
    assert_eq!(&*uri(b"a b\xe4", &URI), b"a%20b%E4");
    assert!(matches!(uri(b"abc", &URI), Cow::Borrowed(_)));
    assert_eq!(&*uri(b"a+b", &MAIL_XTEXT), b"a+2Bb");
    assert_eq!(&*html(b"<a href=\"x\">&"), b"&lt;a href=&quot;x&quot;&gt;&amp;");
    assert_eq!(&*json(b"a\"\n\x01\xff"), b"a\\\"\\n\\u0001\xff");
    assert_eq!(&*log(b"a\"\n\xff"), b"a\\x22\\x0A\\xFF");
    assert_eq!(quote_sql(b"it's\0\x1a"), b"'it\\'s\\0\\Z'");
    assert_eq!(quote_sql(b""), b"''");
}

#[test]
fn nginx_unescapes() {
    let all = |text: &str| unescape_uri(text.as_bytes(), Unescape::All);
    assert_eq!(all("a%20b%3F?c"), b"a b??c");
    assert_eq!(all("%zz%4zx%4"), b"zzx");
    assert_eq!(unescape_uri(b"a%20b?c%20", Unescape::Uri), b"a b?");
    assert_eq!(unescape_uri(b"a%20b%3Fc", Unescape::Redirect), b"a%20b?");
}

#[test]
fn lua_unescapes() {
    assert_eq!(lua_unescape(b"a+b%20%zz%4"), b"a b %zz%4");
    assert_eq!(lua_unescape(b"%E4%bd?%3f"), b"\xe4\xbd??");
}

#[test]
fn arguments() {
    let pair = |k: &str, v: Option<&str>| (k.into(), v.map(|v| v.as_bytes().to_vec()));
    let (pairs, cut) = decode_args(b"a=1&b&=x&c=%20&d=", 0);
    assert!(!cut);
    assert_eq!(
        pairs,
        [pair("a", Some("1")), pair("b", None), pair("c", Some(" ")), pair("d", Some(""))]
    );
    assert_eq!(decode_args(b"a=1&b=2", 1), (vec![pair("a", Some("1"))], true));
    assert!(!decode_args(b"a=1&b=2", 2).1);
    assert_eq!(decode_uri_args(b"a=1&b=2", 1), (vec![pair("a", Some("1"))], true));
    assert_eq!(decode_uri_args(b"", 1), (vec![], false));
    assert_eq!(decode_uri_args(b"a=b=c", 1), (vec![pair("a", Some("b=c"))], false));
}
