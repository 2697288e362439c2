//! Health checks: machines, probes, the engine, dialects.
