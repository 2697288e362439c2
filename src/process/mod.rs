//! Master, worker process, worker threads, signals, reload.
