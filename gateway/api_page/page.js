// RapiDoc 9.3.8 gives some of its elements no names, which screen readers need.
"use strict";

const NAMES = [
  ["[data-pname]:is(input, select, textarea, tag-input)", (element) => element.dataset.pname],
  ["textarea.request-body-param-user-input", () => "Request body"],
  ["nav.nav-bar", () => "Contents"],
  ["nav.nav-scroll", () => "Operations"],
];

function nameAll(root) {
  for (const [selector, nameOf] of NAMES) {
    for (const element of root.querySelectorAll(selector)) {
      if (!element.hasAttribute("aria-label")) {
        element.setAttribute("aria-label", nameOf(element));
      }
    }
  }
}

const watched = new WeakSet();

function watch(root) {
  if (!watched.has(root)) {
    watched.add(root);
    new MutationObserver(() => visit(root)).observe(root, { childList: true, subtree: true });
  }
  visit(root);
}

// Each of RapiDoc's elements has a shadow root of its own.
function visit(root) {
  nameAll(root);
  for (const element of root.querySelectorAll("*")) {
    if (element.shadowRoot) {
      watch(element.shadowRoot);
    }
  }
}

watch(document);
