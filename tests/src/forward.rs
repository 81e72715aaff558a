//! Forwards methods of `Transport` to a field, for transports that change some of them.
//!
//! `slotcar_tests::forward_transport!(inner: now, seed);` in the `impl` writes these methods, which
//! call those of `self.inner`.
//! **Limit**: `connect` is not among them: each transport here has its own.

/// See the file's header.
#[macro_export]
macro_rules! forward_transport {
    (@ $field:tt spawn) => {
        fn spawn(&self, task: slotcar::BoxFuture<'static, ()>) -> bool {
            self.$field.spawn(task)
        }
    };
    (@ $field:tt sleep_until) => {
        fn sleep_until(&self, deadline: slotcar::Timestamp) -> slotcar::BoxFuture<'static, ()> {
            self.$field.sleep_until(deadline)
        }
    };
    (@ $field:tt now) => {
        fn now(&self) -> slotcar::Timestamp {
            self.$field.now()
        }
    };
    (@ $field:tt seed) => {
        fn seed(&self) -> u64 {
            self.$field.seed()
        }
    };
    ($field:tt: $($method:ident),+) => {
        $($crate::forward_transport!(@ $field $method);)+
    };
}
