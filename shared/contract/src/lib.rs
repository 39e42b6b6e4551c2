//! What crosses a boundary: HTTP bodies, queue messages, the bodies that providers, banks and channels exchange
//! with us, and the names of tables, queues and settings that the template and the code must agree on.

pub mod analyst;
pub mod bank;
pub mod channel;
pub mod http;
pub mod names;
pub mod openapi;
pub mod provider;
pub mod queue;
