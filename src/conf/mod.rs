//! The nginx configuration language, knowing no directive.
