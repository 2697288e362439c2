//! What the paths do: one file a resource.

pub mod beat;
pub mod cluster;
pub mod health;
pub mod instance;
pub mod list;
pub mod metadata;
pub mod operator;
pub mod service;
pub mod view;
