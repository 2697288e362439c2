//! nginx's command line flags.
