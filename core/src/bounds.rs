//! `MaybeSend`, `MaybeSync` and `BoxFuture`: the only place in the core that asks about the target.
//!
//! JavaScript values cannot leave their thread, so on `wasm32-unknown-unknown` nothing is required.
//! Everywhere else, `wasm32-wasip2` included, futures and transports are `Send`, and
//! `client/auto_traits.rs` does not compile otherwise.

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod target {
    /// `Send`, except in JavaScript hosts, where nothing is required.
    pub trait MaybeSend: Send {}
    impl<T: Send + ?Sized> MaybeSend for T {}

    /// `Sync`, except in JavaScript hosts, where nothing is required.
    pub trait MaybeSync: Sync {}
    impl<T: Sync + ?Sized> MaybeSync for T {}

    /// A boxed future, `Send` except in JavaScript hosts.
    pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
}

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod target {
    /// `Send`, except in JavaScript hosts, where nothing is required.
    pub trait MaybeSend {}
    impl<T: ?Sized> MaybeSend for T {}

    /// `Sync`, except in JavaScript hosts, where nothing is required.
    pub trait MaybeSync {}
    impl<T: ?Sized> MaybeSync for T {}

    /// A boxed future, `Send` except in JavaScript hosts.
    pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + 'a>>;
}

pub use target::{BoxFuture, MaybeSend, MaybeSync};
