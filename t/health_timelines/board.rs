//! Whole checks as text: the configuration a user writes, what happened when, what became of it.
//!
//! ```text
//!  apisix seed                    whose words, and a name for them; the JSON follows
//!  { "nodes": …, "checks": … }
//!
//!  === title
//!  check  seed
//!  bytes  "GET / HTTP/1.1\r\n …"  what its probe sends
//!  2.0    a500  mostly_healthy  0/1/0/0      seconds, event, state, success/http/tcp/timeout
//!  log    unhealthy HTTP increment (1/2) …   what that wrote to the error log, if asked
//!  3.5    p500  unhealthy  0/2/0/0  DOWN     what traffic sees, if asked
//! ```
//!
//! Events that begin with `a` are what the probe of that moment finds: the check must ask for a
//! probe then, and at no other time. `p` is what a request finds. `set-…` is an operator.

use std::sync::Arc;

use moonbeat::health::dialect::kong::{Around, Healthchecks};
use moonbeat::health::machine::Seen;
use moonbeat::health::{
    Board, CheckSpec, Key, Kind, Now, Outcome, Report, Source, TargetSpec, judge_status, log_line,
    probe,
};
use moonbeat::net::addr::Addr;
use moonbeat::upstream::CheckBit;

/// Runs one case; `preamble` names the configurations.
pub fn check(preamble: &str, block: &str) -> Result<(), String> {
    let mut play = None;
    for (at, line) in block.lines().enumerate().skip(1) {
        let line = line.split(" #").next().unwrap_or_default().trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let step = match (word, &mut play) {
            ("", _) => Ok(()),
            ("check", play) => configured(preamble, rest).map(|p| *play = Some(p)),
            (_, None) => Err("no check line".into()),
            ("bytes", Some(play)) => play.sends(rest),
            ("log", Some(play)) => play.wrote(rest),
            (seconds, Some(play)) => play.step(seconds, rest),
        };
        step.map_err(|complaint| format!("line {at}: {line}\n  {complaint}"))?;
    }
    if play.is_some_and(|p| p.judged) { Ok(()) } else { Err("nothing is expected".into()) }
}

struct Play {
    board: Board,
    key: Key,
    now_ms: u64,
    log: Vec<String>,
    judged: bool,
}

impl Play {
    fn new(spec: CheckSpec, target: &TargetSpec) -> Self {
        let mut board = Board::new(Arc::new(spec), CheckBit::nth(0));
        board.add(target, Now::default());
        Self { board, key: target.key(), now_ms: 0, log: Vec::new(), judged: false }
    }

    /// One line: time, event, state, lanes, and perhaps what traffic sees.
    fn step(&mut self, seconds: &str, rest: &str) -> Result<(), String> {
        let seconds: f64 = seconds.parse().map_err(|_| "neither a word nor a time")?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let [event, state, lanes, rest @ ..] = &words[..] else {
            return Err("not: event, state, lanes".into());
        };
        let now_ms = (seconds * 1000.0).round() as u64;
        match event.strip_prefix('a') {
            Some(found) => self.probe(found, now_ms)?,
            None => self.hear(event, now_ms)?,
        }
        let log = self.board.drain().iter().filter_map(log_line).map(|(_, line)| line).collect();
        self.log = log;
        self.judged = true;
        let (have, want) = (self.standing(), format!("{state} {lanes}"));
        if have != want {
            return Err(format!("is {have}"));
        }
        let sees = if self.is_held() { "DOWN" } else { "UP" };
        match rest {
            [] => Ok(()),
            [wanted] if *wanted == sees => Ok(()),
            _ => Err(format!("traffic sees it {sees}")),
        }
    }

    fn probe(&mut self, found: &str, now_ms: u64) -> Result<(), String> {
        self.pass_time(now_ms)?;
        let launch = self.board.launch(self.now()).ok_or("no probe is due")?;
        if self.board.launch(self.now()).is_some() {
            return Err("a second probe".into());
        }
        let outcome = match found.parse() {
            Ok(status) => judge_status(self.board.spec(), status, Source::Active),
            Err(_) => Outcome::new(kind(found)?),
        };
        self.board.finish(launch.seat, &outcome, self.now());
        Ok(())
    }

    fn hear(&mut self, event: &str, now_ms: u64) -> Result<(), String> {
        self.pass_time(now_ms)?;
        let report = match event {
            "set-healthy" | "set-unhealthy" => {
                self.board.force(&self.key, event == "set-healthy", self.now());
                return Ok(());
            }
            "ptcp" => Report::passive(Seen::TcpFailure),
            "pto" => Report::passive(Seen::Timeout),
            _ => {
                let status = event.strip_prefix('p').and_then(|s| s.parse().ok());
                let status = status.ok_or("unknown event")?;
                let outcome = judge_status(self.board.spec(), status, Source::Passive);
                let Some(seen) = outcome.seen() else { return Ok(()) };
                Report { outcome: Some(outcome), ..Report::passive(seen) }
            }
        };
        self.board.report(&self.key, &report, self.now());
        Ok(())
    }

    /// Moves the clock, looking at the board whenever it asks for it.
    fn pass_time(&mut self, now_ms: u64) -> Result<(), String> {
        if now_ms < self.now_ms {
            return Err("time goes backwards".into());
        }
        while let Some(at_ms) = self.board.next_at_ms().filter(|at_ms| *at_ms < now_ms) {
            self.now_ms = at_ms;
            self.board.tick(self.now());
            if self.board.launch(self.now()).is_some() {
                return Err(format!("a probe is due before, at {at_ms} ms"));
            }
        }
        self.now_ms = now_ms;
        self.board.tick(self.now());
        Ok(())
    }

    fn now(&self) -> Now {
        Now { mono_ms: self.now_ms, wall_ms: self.now_ms }
    }

    fn standing(&self) -> String {
        let Some(seat) = self.board.seat(&self.key) else { return "gone".into() };
        let machine = &seat.watch.machine;
        let lanes = machine.lanes().packed().to_le_bytes().map(|lane| lane.to_string());
        format!("{} {}", machine.state().name(), lanes.join("/"))
    }

    fn is_held(&self) -> bool {
        self.board.seat(&self.key).is_some_and(|seat| seat.is_held())
    }

    fn wrote(&self, wanted: &str) -> Result<(), String> {
        match (wanted, &self.log[..]) {
            ("-", []) => Ok(()),
            (_, [line]) if line.ends_with(wanted) => Ok(()),
            (_, log) => Err(format!("wrote {log:?}")),
        }
    }

    fn sends(&mut self, wanted: &str) -> Result<(), String> {
        let seat = self.board.seat(&self.key).ok_or("no target")?;
        let sent = probe::request_head(self.board.spec(), &seat.watch.target);
        let sent = format!("{:?}", sent.ok_or("its probe sends nothing")?);
        self.judged = true;
        if sent == wanted { Ok(()) } else { Err(format!("sends {sent}")) }
    }
}

fn kind(found: &str) -> Result<Kind, String> {
    match found {
        "tcp" => Ok(Kind::ConnectFailed),
        "to" => Ok(Kind::ReceiveTimeout),
        "line" => Ok(Kind::BadLine),
        other => Err(format!("unknown result {other}")),
    }
}

/// The check that a named configuration of the file's head asks for.
fn configured(preamble: &str, name: &str) -> Result<Play, String> {
    let mut paragraphs = preamble.split("\n\n").map(str::trim);
    let found = paragraphs.find_map(|p| {
        let (title, json) = p.split_once('\n')?;
        let (face, named) = title.split_once(' ')?;
        (named == name).then_some((face, json))
    });
    let (face, json) = found.ok_or_else(|| format!("no configuration {name}"))?;
    let bad = |e: serde_json::Error| format!("{name}: {e}");
    match face {
        "apisix" => {
            let document = serde_json::from_str(json).map_err(bad)?;
            let asked = moonbeat::face::apisix::asked(&document)?;
            let (spec, targets) = asked.ok_or("asks for no checks")?;
            Ok(Play::new(spec, targets.first().ok_or("has no nodes")?))
        }
        "kong" => {
            let record: Healthchecks = serde_json::from_str(json).map_err(bad)?;
            let spec = record.spec("svc", &Around::default()).ok_or("asks for no checks")?;
            let addr = Addr::literal(b"127.0.0.1:1980");
            Ok(Play::new(spec, &TargetSpec::new("127.0.0.1:1980", "a.example", addr)))
        }
        other => Err(format!("{other} is nobody's words")),
    }
}
