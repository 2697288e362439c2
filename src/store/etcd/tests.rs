//! What etcd's answers mean, without an etcd.

use super::spec::Names;
use super::wire::{Kv, Number, Range, Raw, TxnAnswer, WatchLine, raw};

#[test]
fn keys_have_two_names() {
    let names = Names::new("/apisix/", "/gate/ways/".into());
    assert_eq!(names.foreign("/apisix/routes/1").as_deref(), Some(&b"/gate/ways/routes/1"[..]));
    assert_eq!(names.own(b"/gate/ways/routes/1").as_deref(), Some("/apisix/routes/1"));
    assert_eq!(names.foreign("/kong/x"), None);
    assert_eq!(names.own(b"/apisix/routes/1"), None);
    assert_eq!(names.own(b"/gate/ways/\xff"), None);
    assert_eq!(names.range(), (b"/gate/ways/".to_vec(), b"/gate/ways0".to_vec()));
}

#[test]
fn numbers_are_texts_and_bytes_are_base64() {
    let kv = r#"{"key":"L2E=","create_revision":"2","mod_revision":7,"lease":"9","value":"\/w=="}"#;
    let kv: Kv = serde_json::from_str(kv).unwrap();
    assert_eq!(
        (kv.create_revision, kv.mod_revision, kv.version),
        (Number(2), Number(7), Number(0))
    );
    assert_eq!((kv.key, kv.value), (Raw(b"/a".to_vec()), Raw(vec![0xff])));
    for wrong in [r#"{"key":"???"}"#, r#"{"version":"x"}"#, r#"{"version":-1}"#, "[]x", ""] {
        assert!(serde_json::from_str::<Kv>(wrong).is_err(), "{wrong}");
    }
    let all = Range { key: raw(b"/a"), limit: 5, ..Range::default() };
    assert_eq!(serde_json::to_string(&all).unwrap(), r#"{"key":"L2E=","limit":5}"#);
}

#[test]
fn answers_are_read_as_etcd_writes_them() {
    let nested = r#"{"header":{"revision":"2"},"succeeded":true,"responses":[{"response_txn":
        {"header":{},"succeeded":true,"responses":[{"response_put":{"header":{"revision":"2"}}}]}},
        {"response_delete_range":{"header":{"revision":"2"}}}]}"#;
    let answer: TxnAnswer = serde_json::from_str(nested).unwrap();
    assert_eq!((answer.header.revision, answer.succeeded), (Number(2), true));
    let inner = answer.responses[0].response_txn.as_ref().unwrap();
    assert!(inner.responses[0].response_put.is_some());
    assert!(answer.responses[1].response_delete_range.is_some());
    let compacted = r#"{"result":{"header":{"raft_term":"2"},"canceled":true,
        "compact_revision":"3"}}"#;
    let line: WatchLine = serde_json::from_str(compacted).unwrap();
    let answer = line.result.unwrap();
    assert_eq!((answer.canceled, answer.compact_revision), (true, Number(3)));
    let refused = r#"{"error":{"grpc_code":14,"http_code":503,"message":"no leader"}}"#;
    let line: WatchLine = serde_json::from_str(refused).unwrap();
    assert_eq!(line.error.unwrap()["message"], "no leader");
}
