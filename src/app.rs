//! Assembly: the only file that knows every feature.
