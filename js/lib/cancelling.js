// Calls that a signal ends: one listener for each signal, however many calls are in flight.
//
// Invariant: a signal without calls in flight has no listener, so that one that lives long keeps
// nothing of a client alive.

/** By signal: its cancellers, and the listener. */
const bySignal = new WeakMap();

/** Cancels when `signal` is aborted, until `end` is called. */
export function cancelWith(signal, canceller) {
  let entry = bySignal.get(signal);
  if (entry === undefined) {
    const cancellers = new Set();
    entry = { cancellers, listener: () => cancellers.forEach((each) => each.cancel()) };
    bySignal.set(signal, entry);
    signal.addEventListener("abort", entry.listener, { once: true });
  }
  const { cancellers, listener } = entry;
  cancellers.add(canceller);
  return {
    end() {
      cancellers.delete(canceller);
      if (cancellers.size > 0) return;
      signal.removeEventListener("abort", listener);
      bySignal.delete(signal);
    },
  };
}
