// What the pages do beyond plain HTML. Without this file everything still works, with a reload at each step.
(() => {
  "use strict";

  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Windows arrive open in the page; here they become modal, so that focus stays inside and Esc closes them.
  const openWindows = () => {
    for (const dialog of all("dialog[data-modal]")) {
      if (dialog.matches(":modal")) continue;
      dialog.removeAttribute("open");
      dialog.showModal();
      document.activeElement.scrollIntoView({ block: "nearest" });
      dialog.addEventListener("cancel", (event) => {
        const dismiss = dialog.querySelector("[data-dismiss]");
        if (!dismiss) return;
        event.preventDefault();
        dismiss.click();
      });
    }
  };

  // A list that folds out over the page folds in again on Esc, and when something else is pressed.
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") all(".multi[open] summary").forEach((summary) => { summary.click(); summary.focus(); });
  });
  addEventListener("pointerdown", (event) => {
    for (const list of all(".multi[open]")) list.open = list.contains(event.target);
  });

  // Long lists of choices can be searched.
  const openSearches = () => {
    for (const search of all("input[data-filter][hidden]")) {
      const entries = all("label", document.getElementById(search.dataset.filter));
      if (entries.length < 8) continue;
      search.hidden = false;
      search.addEventListener("input", () => {
        const wanted = search.value.trim().toLowerCase();
        for (const entry of entries) entry.hidden = !entry.textContent.toLowerCase().includes(wanted);
      });
      search.addEventListener("keydown", (event) => {
        if (event.key === "Enter") event.preventDefault();
      });
    }
  };

  // The local time of every instant, on hover.
  const localTimes = () => {
    for (const time of all("time[datetime]:not([title])")) time.title = new Date(time.dateTime).toLocaleString() + " local time";
  };

  // Progress is spoken when its sentence changes, not at each poll.
  const announce = () => {
    const announcer = document.getElementById("announcer");
    const text = document.querySelector("[data-announce]")?.dataset.announce ?? "";
    if (announcer && announcer.textContent !== text) announcer.textContent = text;
  };

  // A redrawn page tells what troubles the Service by now; the banner stands outside of what is redrawn.
  const trouble = () => {
    const text = document.querySelector("[data-trouble]")?.dataset.trouble;
    const banner = document.getElementById("trouble");
    const words = banner.querySelector("span");
    if (text === undefined || text === words.textContent) return;
    words.textContent = text;
    banner.hidden = text === "";
  };

  const dress = () => {
    openWindows();
    openSearches();
    localTimes();
    announce();
    trouble();
  };

  // Unsaved edits, and what was typed into a window, survive a stray click: the browser asks before it leaves them.
  let leaving = false;
  addEventListener("beforeunload", (event) => {
    if (!leaving && document.querySelector("[data-unsaved]")) event.preventDefault();
  });
  addEventListener("pageshow", () => { leaving = false; });
  addEventListener("input", (event) => { event.target.closest("#editor")?.toggleAttribute("data-unsaved", true); });
  document.addEventListener("submit", () => { leaving = true; });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-leave]")) leaving = true;
  });

  // A page asks for itself again only while someone looks at it, and not between the press and the release of a button, which
  // it would replace: no click would come of them. Not every release is told, so a press counts for five seconds at most.
  const polls = (event) => event.detail.requestConfig.verb === "get";
  let pressed = -Infinity;
  addEventListener("pointerdown", () => { pressed = performance.now(); }, true);
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { pressed = -Infinity; }, true);
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (polls(event) && document.hidden) event.preventDefault();
  });

  // A redrawn editor may carry what was wrong: show it whatever its status. Any other failure, and what is no page of ours,
  // leaves the page, and what was edited on it, as it is.
  const holds = (xhr, id) => xhr.responseText.includes(`id="${id}"`);
  const isUsable = (xhr) => holds(xhr, "editor") || xhr.status < 400 && holds(xhr, "announcer");
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { detail } = event;
    const { xhr } = detail;
    if (polls(event)) {
      detail.shouldSwap &&= holds(xhr, "live") && performance.now() - pressed >= 5000;
    } else {
      detail.shouldSwap = holds(xhr, "editor");
      detail.isError = false;
      if (!detail.shouldSwap && isUsable(xhr)) { // a save, for one, leads on to another page
        leaving = true;
        location.assign(xhr.responseURL);
      }
    }
    if (!detail.shouldSwap) return;
    scrolls = all(".scroll").map((box) => [box.scrollLeft, box.scrollTop]);
  });
  let scrolls = [];
  document.addEventListener("htmx:afterSettle", () => {
    all(".scroll").forEach((box, i) => {
      if (scrolls[i]) [box.scrollLeft, box.scrollTop] = scrolls[i];
    });
    dress();
  });

  // What went wrong is said where it is seen: in the window that lies over the page, if there is one.
  const banner = document.getElementById("lost");
  const noAnswer = banner.textContent;
  const lost = (text) => {
    banner.textContent = text;
    banner.hidden = text === "";
    const over = document.querySelector("dialog:modal");
    if (over) over.prepend(banner);
    else document.getElementById("trouble").before(banner);
  };
  const failure = (xhr) => new DOMParser().parseFromString(xhr.responseText, "text/html").getElementById("failure")?.textContent;
  for (const name of ["htmx:sendError", "htmx:timeout"]) document.addEventListener(name, () => lost(noAnswer));
  document.addEventListener("htmx:afterOnLoad", ({ detail: { xhr } }) => {
    lost(isUsable(xhr) ? "" : failure(xhr) ?? noAnswer);
  });

  // What a command brought about is told once: a reload does not tell it again.
  const here = new URL(location.href);
  if (here.searchParams.has("done")) {
    here.searchParams.delete("done");
    history.replaceState(null, "", here);
  }

  if (document.readyState === "loading") addEventListener("DOMContentLoaded", dress);
  else dress();
})();
