//! Runs futures concurrently in one task until all of them have ended.
//!
//! The futures are boxed, so that the compiler makes one loop for all types: an unboxed loop would
//! be compiled again for each type, with the futures' own code in it.
//!
//! Limit: up to `FEW` futures are all polled whenever one is woken; of more, only those that were
//! woken. Dropping the whole drops all futures.

use crate::bounds::{BoxFuture, MaybeSend};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::future::poll_fn;
use std::task::Poll;

/// The most futures that are all polled whenever one of them is woken.
const FEW: usize = 30;

/// The outputs of all futures, in the futures' order.
pub(crate) async fn join_all<T: MaybeSend, F: Future<Output = T> + MaybeSend>(
    futures: impl Iterator<Item = F>,
) -> Vec<T> {
    let futures: Vec<F> = futures.collect();
    let mut results: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    let each = futures.into_iter().zip(&mut results).map(|(future, result)| -> BoxFuture<'_, ()> {
        Box::pin(async move { *result = Some(future.await) })
    });
    run(each.collect()).await;
    results.into_iter().flatten().collect()
}

async fn run(mut futures: Vec<BoxFuture<'_, ()>>) {
    if futures.len() > FEW {
        let mut many: FuturesUnordered<_> = futures.into_iter().collect();
        while many.next().await.is_some() {}
        return;
    }
    poll_fn(|cx| {
        futures.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::channel::oneshot;

    /// The order does not depend on which future ends first, nor on how many there are.
    #[test]
    fn results_keep_the_order_of_the_futures() {
        for count in [0, 1, 2, FEW, FEW + 1, 200] {
            let (senders, receivers): (Vec<_>, Vec<_>) =
                (0..count).map(|_| oneshot::channel()).unzip();
            let mut all = Box::pin(join_all(receivers.into_iter()));
            assert_eq!(all.as_mut().now_or_never().is_some(), count == 0);
            for (number, sender) in senders.into_iter().enumerate().rev() {
                assert!(all.as_mut().now_or_never().is_none());
                sender.send(number).unwrap();
            }
            if count > 0 {
                let results = all.now_or_never().expect("all have ended");
                assert!(results.into_iter().map(Result::unwrap).eq(0..count));
            }
        }
    }
}
