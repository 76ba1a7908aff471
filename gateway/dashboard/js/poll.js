// Asks again and again while the tab can be seen.

/**
 * Call `ask` now and `pause` milliseconds after each answer, until `signal` is aborted.
 *
 * Returns a function that asks at once. `ask` handles its own errors.
 */
export function poll(pause, ask, signal) {
  let timer = null;
  let isAsking = false;
  let again = false;
  const next = async () => {
    clearTimeout(timer);
    if (signal.aborted) return;
    if (isAsking) {
      again = true;
      return;
    }
    isAsking = true;
    try {
      await ask();
    } finally {
      isAsking = false;
    }
    if (signal.aborted) return;
    if (again) {
      again = false;
      next();
    } else if (!document.hidden) timer = setTimeout(next, pause);
  };
  document.addEventListener("visibilitychange", () => !document.hidden && next(), { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  next();
  return next;
}

/** A function that calls `act` at most once in `pause` milliseconds, and once more after the last call. */
export function throttled(pause, act, signal) {
  let last = 0;
  let timer = null;
  signal.addEventListener("abort", () => clearTimeout(timer));
  return () => {
    if (timer !== null || signal.aborted) return;
    timer = setTimeout(
      () => {
        timer = null;
        last = Date.now();
        act();
      },
      Math.max(last + pause - Date.now(), 0),
    );
  };
}
