use super::*;

fn key() -> ServiceKey {
    ServiceKey::new("public", "DEFAULT_GROUP", "s")
}

fn instance(port: u16) -> Instance {
    Instance::new("127.0.0.1", port, DEFAULT_CLUSTER)
}

fn health(naming: &Naming) -> Vec<bool> {
    naming.read(&key(), |s| s.instances.values().map(|i| i.healthy).collect()).unwrap_or_default()
}

#[test]
fn a_silent_instance_is_unhealthy_then_gone() {
    let naming = Naming::default();
    naming.register(&key(), instance(1)).expect("a new service");
    let at_ms = clock::fresh_mono_ms();
    naming.sweep(at_ms + 14_000);
    assert_eq!(health(&naming), [true]);
    naming.sweep(at_ms + 16_000);
    assert_eq!(health(&naming), [false]);
    naming.beat(&key(), &instance(1).key()).expect("it is there");
    assert_eq!(health(&naming), [true]);
    naming.sweep(at_ms + 31_000);
    assert!(health(&naming).is_empty());
    assert!(naming.beat(&key(), &instance(1).key()).is_none());
    naming.sweep(at_ms + 95_000);
    assert_eq!(naming.counts(), (0, 0));
}

#[test]
fn kinds_do_not_mix() {
    let naming = Naming::default();
    naming.register(&key(), instance(1)).expect("a new service");
    let mut persistent = instance(2);
    persistent.ephemeral = false;
    let error = naming.register(&key(), persistent).expect_err("the other kind");
    let text = "errCode: 400, errMsg: Current service DEFAULT_GROUP@@s is ephemeral service, \
                can't register persistent instance. ";
    assert_eq!(error.to_string(), text);
}

#[test]
fn beats_do_not_overrule_what_was_told() {
    let naming = Naming::default();
    naming.register(&key(), instance(1)).expect("a new service");
    naming.change(&key(), &instance(1).key(), |i| i.tell(false)).expect("it is there");
    naming.beat(&key(), &instance(1).key()).expect("it is there");
    assert_eq!(health(&naming), [false]);
    naming.change(&key(), &instance(1).key(), |i| i.tell(true)).expect("it is there");
    assert_eq!(health(&naming), [true]);
}

#[test]
fn services_are_made_and_removed() {
    let naming = Naming::default();
    naming.create(&key(), false, ServiceMeta::default()).expect("a new service");
    let again = naming.create(&key(), false, ServiceMeta::default());
    assert_eq!(again, Err(NamingError::Exists("DEFAULT_GROUP@@s".into())));
    let mut persistent = instance(2);
    persistent.ephemeral = false;
    naming.register(&key(), persistent.clone()).expect("of its kind");
    assert!(matches!(naming.remove(&key()), Err(NamingError::NotEmpty(_))));
    assert!(naming.deregister(&key(), &persistent.key()));
    naming.sweep(clock::fresh_mono_ms() + 100_000);
    assert_eq!(naming.names("public", None), [key()], "it was created, so it stays");
    naming.remove(&key()).expect("it is empty");
    assert!(matches!(naming.remove(&key()), Err(NamingError::Unknown(_))));
}
