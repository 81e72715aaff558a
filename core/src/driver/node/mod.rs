//! One server: its connections, how they come back, and how well it answers.

pub(crate) mod health;
pub(crate) mod node;
pub(crate) mod reconnecting_link;
