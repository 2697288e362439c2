//! A name server in the test answers from a table; nothing leaves the machine.

use tokio::task::LocalSet;

use super::*;

/// Answers `a.example` with two addresses, `cut.example` only over TCP, the rest with 3.
async fn serve(udp: UdpSocket, count: Rc<Cell<usize>>) {
    let mut buf = [0; 512];
    while let Ok((n, from)) = udp.recv_from(&mut buf).await {
        count.set(count.get() + 1);
        let reply = reply(&buf[..n], false);
        udp.send_to(&reply, from).await.unwrap();
    }
}

fn reply(asked: &[u8], whole: bool) -> Vec<u8> {
    let mut out = asked.to_vec();
    out[2] = 0x81;
    let is_v4 = asked[asked.len() - 3] == 1;
    let has = |label: &str| asked.windows(label.len()).any(|w| w == label.as_bytes());
    let mut add = |ip: [u8; 4]| {
        out[7] += 1;
        out.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        out.extend_from_slice(&ip);
    };
    match () {
        () if has("cut") && !whole => out[2] |= 2,
        () if has("cut") && is_v4 => add([127, 0, 0, 3]),
        () if has("cut") || (has("\u{1}a\u{7}example") && !is_v4) => {}
        () if has("\u{1}a\u{7}example") => {
            add([127, 0, 0, 1]);
            add([127, 0, 0, 2]);
        }
        () => out[3] = 3,
    }
    out
}

async fn with_server<F: Future<Output = ()>>(
    test: impl FnOnce(Rc<Resolver>, Rc<Cell<usize>>) -> F,
) {
    // Until both have the port.
    let (udp, tcp, server) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = udp.local_addr().unwrap();
        if let Ok(tcp) = tokio::net::TcpListener::bind(server).await {
            break (udp, tcp, server);
        }
    };
    let count = Rc::new(Cell::new(0));
    let spec = ResolverSpec { servers: vec![server], valid_s: None, ipv4: true, ipv6: true };
    let local = LocalSet::new();
    local.spawn_local(serve(udp, count.clone()));
    local.spawn_local(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let length = stream.read_u16().await.unwrap();
            let mut asked = vec![0; length.into()];
            stream.read_exact(&mut asked).await.unwrap();
            let reply = reply(&asked, true);
            stream.write_u16(reply.len() as u16).await.unwrap();
            stream.write_all(&reply).await.unwrap();
        }
    });
    local.run_until(test(Rc::new(Resolver::new(spec)), count)).await;
}

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn answers_are_kept_and_turned() {
    with_server(|resolver, count| async move {
        let first = resolver.resolve("A.example.", LIMIT).await.unwrap();
        let second = resolver.resolve("a.example", LIMIT).await.unwrap();
        assert_eq!(first.len(), 2);
        assert_eq!((first[0], first[1]), (second[1], second[0]));
        assert_eq!(count.get(), 2, "one A and one AAAA question in all");
    })
    .await;
}

#[tokio::test]
async fn those_who_ask_together_share_a_question() {
    with_server(|resolver, count| async move {
        let ask = || resolver.resolve("a.example", LIMIT);
        let (a, b, c) = tokio::join!(ask(), ask(), ask());
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        assert_eq!(count.get(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_cut_off_answer_is_fetched_over_tcp() {
    with_server(|resolver, _| async move {
        let found = resolver.resolve("cut.example", LIMIT).await.unwrap();
        assert_eq!(found, ["127.0.0.3".parse::<IpAddr>().unwrap()]);
    })
    .await;
}

#[tokio::test]
async fn nobody_by_that_name() {
    with_server(|resolver, _| async move {
        let error = resolver.resolve("none.example", LIMIT).await.unwrap_err();
        let expected = "none.example could not be resolved (3: Host not found)";
        assert_eq!(error.about("none.example"), expected);
    })
    .await;
}

#[tokio::test]
async fn silence_ends_in_a_timeout() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let servers = vec![silent.local_addr().unwrap()];
    let spec = ResolverSpec { servers, valid_s: None, ipv4: true, ipv6: false };
    let local = LocalSet::new();
    let resolver = Rc::new(Resolver::new(spec));
    let asked = local.run_until(resolver.resolve("a.example", Duration::from_millis(50))).await;
    assert_eq!(asked.unwrap_err().to_string(), "110: Operation timed out");
}
