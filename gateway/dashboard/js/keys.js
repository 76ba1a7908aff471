// Keys. None is taken while somebody writes, or in a dialog.

const PLACES = { o: "/ui/", j: "/ui/jobs", f: "/ui/fleet", t: "/ui/types" };
const CHORD = 1200; // Milliseconds for the second key.

/** `press(key)` gives a key to the page. */
export function start({ navigate, changeTheme, showKeys, press }) {
  let begun = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isBusy(event.target)) return;
    const isSecond = Date.now() - begun < CHORD;
    begun = 0;
    if (isSecond && event.key in PLACES) navigate(PLACES[event.key]);
    else if (event.key === "g") begun = Date.now();
    else if (event.key === "?") showKeys();
    else if (event.key === "t") changeTheme();
    else if (event.key === "/") find(navigate);
    else if (!press(event.key)) return;
    event.preventDefault();
  });
}

function isBusy(target) {
  return (
    target.matches("input:not([type='checkbox']), textarea, select") || document.querySelector("dialog[open]")
  );
}

function find(navigate) {
  if (location.pathname !== "/ui/jobs") navigate("/ui/jobs");
  setTimeout(() => document.getElementById("find")?.focus(), 0);
}
