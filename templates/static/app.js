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
      if (linkBack(dialog)) history.replaceState(null, "", linkBack(dialog).href.split("#")[0]);
      dialog.addEventListener("cancel", (event) => {
        const dismiss = dialog.querySelector("[data-dismiss]");
        if (!dismiss) return;
        event.preventDefault();
        dismiss.click();
      });
    }
  };

  // A question lies over the page that it was asked from, and takes that page's address and its place in the browser's history:
  // neither Back nor a reload asks it again, and who does not answer is where he was.
  const linkBack = (dialog) => dialog.querySelector("a[data-dismiss]");
  const closeQuestion = (dialog) => {
    const opener = document.getElementById(linkBack(dialog).hash.slice(1));
    document.getElementById("trouble").before(document.getElementById("lost")); // which may lie in the window
    dialog.close();
    dialog.remove();
    opener?.focus();
  };
  const isPlain = (event) => event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    const dialog = event.target.closest("dialog[data-modal]");
    if (link?.matches("[data-dismiss]") && isPlain(event)) {
      event.preventDefault();
      closeQuestion(dialog);
    } else if (link && isPlain(event) && new URL(link.href).searchParams.has("ask")) {
      event.preventDefault();
      location.replace(link.href);
    } else if (dialog && event.target === dialog && linkBack(dialog) && isOutside(dialog, event) && !hasTyped(dialog)) {
      closeQuestion(dialog);
    }
  });
  const isOutside = (dialog, { clientX: x, clientY: y }) => {
    const box = dialog.getBoundingClientRect();
    return x < box.left || x > box.right || y < box.top || y > box.bottom;
  };
  const hasTyped = (dialog) => all("input:not([type=hidden])", dialog).some((input) => input.value !== input.defaultValue);
  // Nor does a page ask it again that the browser kept whole.
  addEventListener("pageshow", (event) => {
    if (event.persisted && document.querySelector("dialog a[data-dismiss]")) location.reload();
  });

  // Esc closes a window by its button. A browser lets a page hold up one Esc a window, and drops the window with all that was typed
  // at the next, unless the page takes the key itself.
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented || event.isComposing) return;
    const dismiss = document.querySelector("dialog:modal [data-dismiss]");
    if (!dismiss) return;
    event.preventDefault();
    dismiss.click();
  });

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

  // Instants (a runtime is none, its title says when it ended) are written relative to now; what the page says stays for paper and for the tip.
  const hours = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const days = new Intl.DateTimeFormat("en", { day: "numeric", month: "short" });
  const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
  const relative = (time, now) => {
    const date = new Date(time.dateTime);
    const seconds = Math.round((now - date) / 1000);
    const distance = Math.abs(seconds);
    const day = Math.round((midnight(date) - midnight(now)) / 86400000);
    if (distance < 60) return seconds < 0 ? "in a moment" : "just now";
    if (distance < 3570) return seconds < 0 ? `in ${Math.round(distance / 60)} min` : `${Math.floor(distance / 60)} min ago`;
    if (distance < 6 * 3600 && day === 0) return seconds < 0 ? `in ${Math.round(distance / 3600)} h` : `${Math.round(distance / 3600)} h ago`;
    const at = hours.format(date);
    const name = { "-1": "yesterday", 0: "today", 1: "tomorrow" }[day];
    if (name) return `${name} ${at}`;
    return date.getFullYear() === now.getFullYear() ? `${days.format(date)} ${at}` : time.dateTime.slice(0, 10);
  };
  const localText = (time) => {
    const date = new Date(time.dateTime);
    if (date.getTimezoneOffset() === 0) return ""; // that is what the page says already
    return ` · ${date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" })} your time`;
  };

  // In a list of facts there is room for both. Elsewhere an instant that no control stands for is one to stop at.
  const writeTimes = (root = document) => {
    const now = new Date();
    for (const time of all("time.instant", root)) {
      let ago = time.querySelector(".ago");
      if (!ago) {
        const exact = document.createElement("span");
        exact.className = "exact";
        exact.append(...time.childNodes);
        ago = document.createElement("span");
        ago.className = "ago";
        time.append(ago, exact);
        if (time.closest(".facts")) exact.append(localText(time));
        else if (!time.closest("a, tr")) time.tabIndex = 0;
      }
      const text = relative(time, now);
      if (ago.textContent !== text) ago.textContent = text;
    }
  };
  setInterval(writeTimes, 20000);

  // The tip tells an instant exactly, on hover, and when the keyboard comes to it or to the line of a table it stands in. It
  // stays while the pointer is on it, and goes on Esc.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.id = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.body.append(tip);
  let tipped = null;
  const hideTip = () => {
    if (tipped?.getAttribute("aria-describedby") === tip.id) tipped.removeAttribute("aria-describedby");
    tipped = null;
    tip.hidden = true;
  };
  const label = (time) => time.closest("td[data-label]")?.dataset.label ?? time.closest("div")?.querySelector("dt")?.textContent;
  const showTip = (anchor, described, times) => {
    const modal = document.querySelector("dialog:modal");
    (modal ?? document.body).append(tip);
    tip.replaceChildren(...times.map((time) => {
      const line = document.createElement("p");
      const name = times.length > 1 ? label(time) : "";
      line.textContent = `${name ? name + ": " : ""}${time.querySelector(".exact")?.textContent ?? time.title}${localText(time)}`;
      return line;
    }));
    hideTip();
    tip.hidden = false;
    const box = anchor.getBoundingClientRect();
    const own = tip.getBoundingClientRect();
    tip.style.left = Math.max(8, Math.min(box.left, innerWidth - own.width - 8)) + "px";
    tip.style.top = (box.bottom + own.height > innerHeight ? box.top - own.height : box.bottom) + "px";
    tipped = described;
    if (!described.hasAttribute("aria-describedby")) described.setAttribute("aria-describedby", tip.id);
  };
  addEventListener("pointerover", ({ target }) => {
    if (!(target instanceof Element) || target.closest("#tip")) return;
    const time = target.closest("time");
    if (time?.matches(".instant")) showTip(time, time, [time]);
    else if (!document.activeElement?.matches("[aria-describedby=tip]")) hideTip();
  });
  addEventListener("focusin", ({ target }) => {
    const place = target.closest("time") ?? target.closest("a, button")?.closest("tr, a:has(time)");
    const times = place?.matches("time") ? [place] : all("time[datetime]", place ?? tip);
    if (times.length > 0 && target.matches(":focus-visible")) showTip(place, target, times);
    else hideTip();
  });
  addEventListener("focusout", hideTip);
  addEventListener("scroll", hideTip, true);
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || tip.hidden) return;
    hideTip();
    event.preventDefault(); // a window below it stays open
    event.stopImmediatePropagation();
  }, true);

  // Where a table is no larger than its frame there is nothing to scroll: it is no stop for the keyboard, and its head stays in
  // sight. Cells know the name of their column, for the cards of a narrow window.
  const measure = (root = document) => {
    for (const box of all(".scroll", root)) {
      box.classList.remove("fits");
      const fits = box.scrollWidth <= box.clientWidth + 1 && box.scrollHeight <= box.clientHeight + 1;
      box.classList.toggle("fits", fits);
      if (fits) box.removeAttribute("tabindex");
      else box.tabIndex = 0;
    }
  };
  addEventListener("resize", () => requestAnimationFrame(() => measure()));
  const labelCells = (root = document) => {
    for (const table of all("table.grid:not(.share *, .numbers, .labelled)", root)) {
      const names = all("thead th", table).map((head) => head.textContent.trim());
      for (const row of all("tbody tr", table)) {
        [...row.cells].forEach((cell, i) => { if (names[i]) cell.dataset.label ??= names[i]; });
      }
      table.classList.add("labelled");
    }
  };

  // Progress is spoken when its sentence changes, not at each poll.
  const announce = () => {
    const announcer = document.getElementById("announcer");
    const text = document.querySelector("[data-announce]")?.dataset.announce ?? "";
    if (announcer && announcer.textContent !== text) announcer.textContent = text;
  };

  // A redrawn part tells what troubles the Service by now; the banner stands outside of what is redrawn.
  const trouble = (root) => {
    const text = (root.closest("[data-trouble]") ?? root.querySelector("[data-trouble]"))?.dataset.trouble;
    const banner = document.getElementById("trouble");
    const words = banner.querySelector("span");
    if (text === undefined || text === words.textContent) return;
    words.textContent = text;
    banner.hidden = text === "";
  };

  // The theme that was chosen is kept by the browser; theme.js takes it up before the page is drawn.
  const offerThemes = () => {
    const box = document.getElementById("theme");
    const choice = box.querySelector("select");
    const root = document.documentElement;
    choice.value = root.dataset.theme ?? "";
    choice.addEventListener("change", () => {
      root.dataset.theme = choice.value;
      try { localStorage.setItem("ms-sentinel-theme", choice.value); } catch { /* it holds for this page */ }
    });
    addEventListener("storage", ({ key, newValue }) => {
      if (key === "ms-sentinel-theme") root.dataset.theme = choice.value = newValue ?? "";
    });
    box.hidden = false;
  };

  // What has to be right before it is drawn, and the rest.
  const write = (root) => {
    writeTimes(root);
    labelCells(root);
  };
  const dress = (root) => {
    openWindows();
    openSearches();
    announce();
    trouble(root);
    measure(root); // of a long list that a window lies over nothing has changed
  };

  // Unsaved edits, and what was typed into a window, survive a stray click: the browser asks before it leaves them.
  let leaving = false;
  addEventListener("beforeunload", (event) => {
    if (!leaving && document.querySelector("[data-unsaved], [data-typed]")) event.preventDefault();
  });
  addEventListener("pageshow", () => { leaving = false; });
  document.addEventListener("submit", () => { leaving = true; });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-leave]")) leaving = true;
  });

  // A page asks for itself again only while someone looks at it, and not between the press and the release of a button, which
  // it would replace: no click would come of them. Not every release is told, so a press counts for five seconds at most.
  // Nor while text in it is selected: that counts for a minute, so that no page grows old. The strip of a page that asks for
  // itself comes with it.
  const polls = (event) => event.detail.requestConfig.verb === "get";
  let pressed = -Infinity;
  let selected = -Infinity;
  addEventListener("pointerdown", () => { pressed = performance.now(); }, true);
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { pressed = -Infinity; }, true);
  document.addEventListener("selectionchange", () => { selected = performance.now(); });
  const isSelectedIn = (part) => {
    const selection = getSelection();
    return performance.now() - selected < 60000 && !selection.isCollapsed && selection.containsNode(part, true);
  };
  document.addEventListener("htmx:beforeRequest", (event) => {
    const { elt } = event.detail;
    if (!polls(event)) return;
    if (document.hidden || isSelectedIn(elt) || elt.id === "strip" && document.querySelector("#live[hx-get]")) event.preventDefault();
  });

  // A redrawn editor may carry what was wrong: show it whatever its status. Of what is redrawn it takes the part that changes:
  // what came of a query whose window stays open, or the page, or the window. Any other failure, and what is no page of ours,
  // leaves the page, and what was edited on it, as it is.
  const holds = (xhr, id) => xhr.responseText.includes(`id="${id}"`);
  const isUsable = (xhr) => xhr.status === 204 || holds(xhr, "window") || xhr.status < 400 && holds(xhr, "announcer");
  const swapPart = (detail) => {
    const part = ["answer", "main", "window"].find((id) => holds(detail.xhr, id) && document.getElementById(id));
    detail.target = document.getElementById(part);
    detail.selectOverride = `#${part}`;
  };
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { detail } = event;
    const { xhr } = detail;
    if (polls(event)) {
      detail.shouldSwap &&= holds(xhr, detail.target.id) && performance.now() - pressed >= 5000 && !isSelectedIn(detail.target);
    } else {
      detail.shouldSwap = holds(xhr, "window");
      detail.isError = false;
      if (detail.shouldSwap) {
        swapPart(detail);
      } else if (isUsable(xhr)) { // a save, for one, leads on to another page
        leaving = true;
        location.assign(xhr.responseURL);
      }
    }
    if (!detail.shouldSwap) return;
    scrolls = all(".scroll").map((box) => [box.scrollLeft, box.scrollTop]);
  });
  let scrolls = [];
  document.addEventListener("htmx:afterSwap", () => write());
  document.addEventListener("htmx:afterSettle", ({ target }) => {
    all(".scroll").forEach((box, i) => {
      if (scrolls[i]) [box.scrollLeft, box.scrollTop] = scrolls[i];
    });
    dress(target);
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

  const start = () => {
    offerThemes();
    write();
    dress(document.documentElement);
  };
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
  else start();
})();
