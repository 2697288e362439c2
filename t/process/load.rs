//! Clients that never stop asking while something happens to the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::harness::client;

/// Threads that make requests until they are asked for their counts.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Counts>>,
}

/// What happened to the requests.
#[derive(Debug, Default)]
pub struct Counts {
    pub answered: usize,
    pub refused: usize,
    /// Connections that ended without a whole answer.
    pub cut: usize,
}

impl Load {
    pub fn start(port: u16, threads: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let threads = (0..threads)
            .map(|_| {
                let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
                std::thread::spawn(move || {
                    let mut counts = Counts::default();
                    while !stop.load(Ordering::Relaxed) {
                        match client::get(port, "/") {
                            Ok(response) if response.status == 200 => {
                                counts.answered += 1;
                                answered.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(complaint) if complaint.starts_with("connect:") => {
                                counts.refused += 1
                            }
                            _ => counts.cut += 1,
                        }
                    }
                    counts
                })
            })
            .collect();
        Load { stop, answered, threads }
    }

    /// How many requests were answered so far.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    pub fn stop(self) -> Result<Counts, String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Counts::default();
        for thread in self.threads {
            let counts = thread.join().map_err(|_| "a client panicked")?;
            all.answered += counts.answered;
            all.refused += counts.refused;
            all.cut += counts.cut;
        }
        Ok(all)
    }
}
