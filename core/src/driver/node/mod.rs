//! One server: its connections, how they come back, and how well it answers.
//! Knows `environment` and `link`.

pub(crate) mod exclusive_links;
pub(crate) mod health;
pub(crate) mod in_flight_guard;
pub(crate) mod node;
pub(crate) mod reconnecting_link;
#[cfg(test)]
pub(crate) mod script;
mod sign_of_life;
mod silent_link;
mod subscription_links;
