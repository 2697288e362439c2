//! Renders `tracing` events into the error log, so that internals speak nginx's format too.
//!
//! ```text
//!   tracing::warn!(peer, "probe late") ─▶ 2026/01/02 15:04:05 [warn] 1#1: probe late, peer: "b:80"
//! ```

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};

use super::{Level, MAIN};

/// Makes the error log the process's `tracing` subscriber. A second call changes nothing.
pub fn install() {
    _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Layer));
}

/// Writes events to the main chain.
struct Layer;

impl<S: Subscriber> tracing_subscriber::Layer<S> for Layer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let level = level_of(event.metadata());
        MAIN.load().write(level, None, format_args!("{}{}", text.message, text.fields));
    }

    /// Libraries trace every frame: that is not for a server's log.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    /// The level of the main chain changes with a reload: ask every time.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    /// Dependencies speak from warnings up: nginx's debug log is about nginx.
    fn enabled(&self, meta: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let ours = meta.target().starts_with("moonbeat");
        MAIN.load().enabled(level_of(meta)) && (ours || *meta.level() <= tracing::Level::WARN)
    }
}

/// The parts of an event as text.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, ", {name}: {value:?}"),
        };
    }
}

fn level_of(meta: &Metadata<'_>) -> Level {
    match *meta.level() {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        _ => Level::Debug,
    }
}
