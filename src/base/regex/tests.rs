use super::*;

fn lua(pattern: &str, letters: &str) -> Regex {
    Regex::compile(pattern.as_bytes(), Flags::from_letters(letters.as_bytes()).unwrap()).unwrap()
}

fn texts(regex: &Regex, subject: &str) -> Vec<Option<String>> {
    let Some(found) = regex.captures(subject.as_bytes()).unwrap() else { return Vec::new() };
    let text = |i| found.text(i, subject.as_bytes()).map(|t| t.to_str_lossy().into_owned());
    (0..found.len()).map(text).collect()
}

#[test]
fn captures_and_names() {
    let regex = lua("(?<year>\\d+)-(?<m>\\d+)|(x)", "jo");
    assert_eq!(regex.capture_count(), 3);
    assert_eq!(regex.names(), [(Box::from(&b"m"[..]), 2), (Box::from(&b"year"[..]), 1)]);
    let some = |t: &str| Some(t.to_owned());
    assert_eq!(texts(&regex, "on 2026-11"), [some("2026-11"), some("2026"), some("11"), None]);
    assert_eq!(texts(&regex, "nothing"), []);
}

#[test]
fn errors_are_worded_as_nginx_words_them() {
    let error = |p: &str| Regex::compile(p.as_bytes(), Flags::default()).unwrap_err().to_string();
    assert_eq!(error("(abc"), "pcre2_compile() failed: missing closing parenthesis in \"(abc\"");
    assert!(error("a)b").ends_with(" in \"a)b\" at \")b\""));
}

#[test]
fn letters() {
    assert_eq!(texts(&lua("A.b", "is"), "xa\nB"), [Some("a\nB".to_owned())]);
    assert_eq!(texts(&lua("b", "a"), "ab"), []);
    assert_eq!(texts(&lua("章", "u"), "文章"), [Some("章".to_owned())]);
    assert_eq!(Flags::from_letters(b"ik"), Err(b'k'));
    let found = lua("(?<a>x)|(?<a>y)", "D");
    assert_eq!(found.names().len(), 2);
}

#[test]
fn the_dfa_matcher_takes_the_longest() {
    let regex = lua("a|ab|abc", "d");
    let mut spans = Vec::new();
    assert!(regex.exec(b"xabcd", 0, Limits::Lua, &mut spans) >= 0);
    assert_eq!(spans, [1, 4]);
}

#[test]
fn broken_utf8_is_an_error_or_no_match() {
    let mut spans = Vec::new();
    let broken = b"\xff\xfea";
    assert_eq!(lua("章", "u").exec(broken, 0, Limits::Lua, &mut spans), -23);
    assert_eq!(lua("章", "U").exec(broken, 0, Limits::Lua, &mut spans), -1);
    assert_eq!(lua("a", "").exec(broken, 9, Limits::Lua, &mut spans), -33);
}

#[test]
fn lua_limits_are_set_for_all_threads() {
    let slow = lua("(a+)+$", "");
    let subject = "a".repeat(28) + "b";
    set_lua_match_limit(500);
    set_lua_jit_stack(1);
    let exec = |limits| slow.exec(subject.as_bytes(), 0, limits, &mut Vec::new());
    assert_eq!(exec(Limits::Lua), ffi::PCRE2_ERROR_MATCHLIMIT);
    set_lua_match_limit(0);
    assert!(version().starts_with("10."));
}

#[test]
fn machine_code_that_is_run_at_once_gives_the_same_answers() {
    let (mut spans, mut slow_spans) = (Vec::new(), Vec::new());
    let patterns = ["a*", "(*NOTEMPTY)a*", "(b)?a+$", "^", "x{2}", "(?<=a)b", "(*UTF)é", "[^a]"];
    for pattern in patterns {
        let (fast, slow) = (lua(pattern, "j"), lua(pattern, ""));
        for subject in ["", "b", "aab", "xxab", "baa"] {
            for from in 0..6 {
                let answer = fast.exec(subject.as_bytes(), from, Limits::Lua, &mut spans);
                let same = slow.exec(subject.as_bytes(), from, Limits::Lua, &mut slow_spans);
                assert_eq!(answer, same, "{pattern} in {subject} from {from}");
                assert!(answer < 0 || spans == slow_spans, "{pattern} in {subject} from {from}");
            }
        }
    }
}
