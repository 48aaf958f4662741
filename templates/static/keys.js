// Shortcuts of the keyboard. Help tells of them, and has a switch that turns them off, which the browser keeps; where it keeps
// nothing there are none, since nobody could turn them off.
(() => {
  "use strict";

  const kept = "ms-sentinel-shortcuts";
  let on;
  try { on = localStorage.getItem(kept) !== "off"; } catch { return; }

  const box = document.getElementById("shortcuts");
  const choice = box?.querySelector("input");
  if (box) {
    choice.checked = on;
    choice.addEventListener("change", () => {
      on = choice.checked;
      try { localStorage.setItem(kept, on ? "on" : "off"); } catch { /* it holds for this page */ }
    });
    box.hidden = false;
  }
  addEventListener("storage", ({ key, newValue }) => {
    if (key !== kept) return;
    on = newValue !== "off";
    if (choice) choice.checked = on;
  });

  const screens = { c: "screen-configure", j: "screen-jobs", t: "screen-tasks", r: "screen-report", s: "aside-settings" };
  const filter = () => ["input[type=search]", "input:not([type=hidden])"].map((field) => document.querySelector(`[role=search] ${field}`)).find(Boolean);
  let led = -Infinity; // when g was pressed

  addEventListener("keydown", (event) => {
    const typed = event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable], [role=textbox], [role=listbox]");
    if (!on || typed || event.defaultPrevented || event.repeat || event.isComposing) return;
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    const followsG = performance.now() - led < 2000;
    led = -Infinity;
    if (followsG && Object.hasOwn(screens, event.key)) {
      event.preventDefault();
      document.getElementById(screens[event.key]).click();
    } else if (event.key === "g") {
      led = performance.now();
    } else if (event.key === "?") {
      event.preventDefault();
      document.getElementById("aside-help").click();
    } else if (event.key === "/" && filter()) {
      event.preventDefault();
      filter().focus();
    }
  });
})();
