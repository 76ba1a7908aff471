// The token that servers may ask for. It is kept for the session of the tab only, and told to the other
// tabs of the browser. No page and no address has it.

const KEY = "jobs-token";

const listeners = new Set();
const channel = new BroadcastChannel(KEY);
let refused = false;

/** The headers that prove who calls. */
export const headers = () => (stored() ? { authorization: `Bearer ${stored()}` } : {});

/** Whether the latest answer asked for a token, or for another one. */
export const isWanted = () => refused;

export const isSet = () => stored() !== "";

/** Call `listener` each time that a token is asked for first, or again. */
export const onWanted = (listener) => listeners.add(listener);

/** Note how a call ended that was sent with the headers `sent`. */
export function note(status, sent) {
  // A call that was sent before the token was set says nothing.
  if (sent.authorization !== headers().authorization) return;
  if (status !== 401) {
    if (status < 400) refused = false;
    return;
  }
  if (refused) return;
  refused = true;
  channel.postMessage({ kind: "who" });
  for (const listener of listeners) listener();
}

/** Use a token from now on; "" forgets it. The page begins anew: nothing of another caller is left. */
export function set(value) {
  keep(value);
  channel.postMessage({ kind: "set", value });
  location.reload();
}

function stored() {
  return sessionStorage.getItem(KEY) ?? "";
}

function keep(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

channel.onmessage = ({ data }) => {
  if (data.kind === "who" && stored() && !refused) channel.postMessage({ kind: "have", value: stored() });
  const isNews = data.kind === "set" || (data.kind === "have" && refused);
  if (!isNews || data.value === stored()) return;
  keep(data.value);
  location.reload();
};
