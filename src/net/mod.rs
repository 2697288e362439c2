//! Streams, dialing, listening, TLS, DNS, the HTTP/1 codec.
