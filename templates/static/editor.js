// Edit mode of CONFIGURE: windows that close without a word to the Service and forget nothing while it works, and a list
// that is put in order in the page. Without this file everything works by the buttons alone.
(() => {
  "use strict";

  const byId = (id) => document.getElementById(id);
  const editor = () => byId("editor");
  const button = (value) => editor()?.querySelector(`button[name="action"][value="${CSS.escape(value)}"]:not(.unseen)`);

  // What the window says beside its buttons, and the page to a screen reader.
  const say = (text) => {
    const place = byId("busy") ?? byId("announcer");
    if (place) place.textContent = text;
  };

  // While the Service works on a window, its fields stay as they are and can be typed in, unless the window is to close.
  const works = { validate: "Asking ThreatConnect…", preview: "Making the preview…", submit: "Checking the query…" };
  const isBusy = () => editor()?.getAttribute("aria-busy") === "true";
  const setBusy = (busy, action) => {
    const form = editor();
    if (!form) return;
    form.setAttribute("aria-busy", String(busy));
    if (works[action]) say(`${works[action]} Esc stops it.`);
    else if (!busy) say("");
    const fields = form.querySelector(".window-fields");
    if (fields) fields.inert = busy && action === "submit";
  };
  const isOurs = (event) => event.target.closest?.("#editor") && event.detail.requestConfig.verb !== "get";
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (isOurs(event)) setBusy(true, event.detail.requestConfig.triggeringEvent?.submitter?.value);
  });
  document.addEventListener("htmx:afterRequest", () => setBusy(false));
  const stopRequest = () => editor()?.dispatchEvent(new CustomEvent("htmx:abort", { bubbles: true, detail: {} }));

  // What was typed into a window counts as unsaved until it closes.
  const hasTyped = () => editor()?.hasAttribute("data-typed");
  document.addEventListener("input", (event) => {
    if (event.target.name && event.target.closest("#window")) editor().toggleAttribute("data-typed", true); // a search has no name
  });
  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (detail.target.id !== "answer") editor()?.removeAttribute("data-typed");
  });

  // A window closes here, and the keyboard goes on from the button that opened it. The token stays with the form.
  const closeWindow = (dialog) => {
    const opener = dialog.querySelector("[data-dismiss]")?.dataset.dismiss;
    const token = dialog.querySelector("input[name=token]");
    if (isBusy()) stopRequest();
    if (token) byId("window").append(token);
    document.body.querySelector("main").before(byId("lost")); // which may lie in the window
    dialog.close();
    dialog.remove();
    editor().removeAttribute("data-typed");
    if (opener) button(opener)?.focus();
  };
  const leaveByKey = (dialog) => {
    if (isBusy()) {
      stopRequest();
      say("Stopped.");
    } else if (hasTyped() && !dialog.dataset.warned) {
      dialog.dataset.warned = "true";
      say("Esc once more drops what you typed.");
    } else {
      closeWindow(dialog);
    }
  };
  const isOutside = (box, { clientX: x, clientY: y }) => x < box.left || x > box.right || y < box.top || y > box.bottom;
  document.addEventListener("click", (event) => {
    const dialog = event.target.closest("#window dialog");
    if (!dialog) return;
    if (event.target === dialog && event.isTrusted && isOutside(dialog.getBoundingClientRect(), event)) {
      if (!hasTyped() && !isBusy()) closeWindow(dialog);
      return;
    }
    if (!event.target.closest("[data-dismiss]")) return;
    event.preventDefault();
    if (event.isTrusted) closeWindow(dialog);
    else leaveByKey(dialog); // Esc, which the frame makes a press of this button
  });
  // Whatever else closes it, a way back on a telephone for one.
  document.addEventListener("close", (event) => {
    if (event.target.matches("#window dialog")) closeWindow(event.target);
  }, true);

  // Enter in a field presses the button that belongs to it.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.target.matches("#editor input:not([type=file]), #editor select")) return;
    event.preventDefault();
    const submits = event.target.closest(".query-window") ? byId("submit") : event.target.closest(".move") && button("move");
    submits?.click();
  });

  // What is wrong with a setting is told below its field. It gives the first such field.
  const markSettings = (answer) => {
    let first = null;
    for (const place of document.querySelectorAll(".window-fields [data-setting]")) {
      const field = byId(place.dataset.setting);
      const faults = [...answer.querySelectorAll(`[data-fault-of="${field.id}"]`)].map((fault) => fault.textContent);
      place.textContent = faults.join(" ");
      field.ariaInvalid = faults.length ? "true" : null;
      if (faults.length) first ??= field;
    }
    return first;
  };

  // A fault in the TQL is told below its field and marked in it, unless somebody types there just now.
  const markFault = () => {
    const [tql, answer] = [byId("tql"), byId("answer")];
    if (!tql) return;
    const { fault, start, end } = answer.dataset;
    byId("tql-fault").textContent = fault ?? "";
    tql.ariaInvalid = fault ? "true" : null;
    const setting = markSettings(answer);
    answer.scrollIntoView({ block: "nearest" });
    if (!fault && setting && document.activeElement.matches("button, body")) setting.focus();
    if (!fault || document.activeElement === tql) return;
    tql.focus();
    tql.setSelectionRange(Number(start), Number(end));
  };
  document.addEventListener("htmx:afterSettle", ({ detail }) => { if (detail.target.id === "answer") markFault(); });

  // Words of TQL are completed from the help in the window.
  const joining = ["and", "or", "not", "in", "like", "contains", "startswith", "endswith", "is null", "is not null"];
  const wordBefore = (tql) => {
    const before = tql.value.slice(0, tql.selectionStart);
    const code = before.replace(/(["'`])(?:\\.|(?!\1)[^\\])*(\1|$)/gs, (text) => " ".repeat(text.length));
    return /[A-Za-z]\w*$/.exec(code)?.[0] ?? "";
  };
  const fitting = (word) => {
    if (word.length < 2) return [];
    const wanted = word.toLowerCase();
    const known = [...document.querySelectorAll("#tql-help .keyword")].map((code) => code.textContent).concat(joining);
    const begin = known.filter((name) => name.toLowerCase().startsWith(wanted));
    const hold = known.filter((name) => name.toLowerCase().includes(wanted) && !begin.includes(name));
    const found = begin.concat(hold);
    return found.some((name) => name === word) ? [] : found.slice(0, 8);
  };
  const choose = (at) => {
    const options = [...byId("tql-options").children];
    options.forEach((option, i) => { option.ariaSelected = String(i === at); });
    byId("tql").setAttribute("aria-activedescendant", options[at]?.id ?? "");
    options[at]?.scrollIntoView({ block: "nearest" });
  };
  const offer = (names) => {
    const list = byId("tql-options");
    list.replaceChildren(...names.map((name, i) => {
      const option = document.createElement("li");
      Object.assign(option, { id: `tql-option-${i}`, role: "option", textContent: name });
      return option;
    }));
    list.hidden = names.length === 0;
    choose(-1);
    if (!isBusy()) say(names.length ? `${names.length} that fit: arrow down to choose, Enter to take.` : "");
  };
  const take = (name) => {
    const tql = byId("tql");
    const end = tql.selectionStart;
    tql.setRangeText(`${name} `, end - wordBefore(tql).length, end, "end");
    offer([]);
    tql.dispatchEvent(new InputEvent("change", { bubbles: true }));
  };
  const chosen = () => byId("tql-options").querySelector("[aria-selected=true]");
  document.addEventListener("input", ({ target }) => { if (target.id === "tql") offer(fitting(wordBefore(target))); });
  document.addEventListener("focusout", ({ target }) => { if (target.id === "tql") offer([]); });
  document.addEventListener("pointerdown", (event) => {
    const option = event.target.closest("#tql-options li");
    if (!option) return;
    event.preventDefault();
    take(option.textContent);
  });
  document.addEventListener("keydown", (event) => {
    const list = byId("tql-options");
    if (event.target.id !== "tql" || list.hidden) return;
    const count = list.children.length;
    const at = [...list.children].indexOf(chosen());
    const acts = {
      ArrowDown: () => choose((at + 1) % count),
      ArrowUp: () => choose((at - 1 + count) % count),
      Enter: () => at >= 0 && take(chosen().textContent),
      Escape: () => offer([]),
    };
    if (!acts[event.key] || event.key === "Enter" && at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    acts[event.key]();
  });

  // Where the keys lead from a place in a list.
  const goals = {
    ArrowUp: (i) => i - 1, ArrowDown: (i) => i + 1, Home: () => 0, End: () => Infinity,
  };

  // A list of choices is one stop of the keyboard: arrows, Home and End lead from one to the next of those that are in sight.
  const boxesOf = (list) => [...list.querySelectorAll("label:not([hidden]) input")];
  const rove = (list, box) => {
    for (const other of list.querySelectorAll("input")) other.tabIndex = other === box ? 0 : -1;
  };
  const tellChosen = (list) => {
    const names = [...list.querySelectorAll("input:checked")].map((box) => box.nextElementSibling.textContent);
    const text = names.join(", ");
    byId(list.id.replace("list", "chosen")).textContent =
      names.length ? `${names.length} chosen: ${text.length > 500 ? `${text.slice(0, 500)}…` : text}` : "None chosen";
    const boxes = boxesOf(list);
    const all = document.querySelector(`[data-choose="${list.id}"]`);
    all.textContent = boxes.length && boxes.every((box) => box.checked) ? "Select none" : "Select all";
    all.hidden = boxes.length < 2;
  };
  const isListed = (element) => element.matches?.(".window-fields .checklist input");
  document.addEventListener("change", ({ target }) => { if (isListed(target)) tellChosen(target.closest(".checklist")); });
  document.addEventListener("focusin", ({ target }) => { if (isListed(target)) rove(target.closest(".checklist"), target); });
  document.addEventListener("input", ({ target }) => {
    const list = target.matches(".window-fields .search") && byId(target.dataset.filter);
    if (!list) return;
    rove(list, boxesOf(list)[0]);
    tellChosen(list);
  });
  document.addEventListener("click", ({ target }) => {
    const list = target.dataset?.choose && byId(target.dataset.choose);
    if (!list) return;
    const boxes = boxesOf(list);
    const all = !boxes.every((box) => box.checked);
    for (const box of boxes) box.checked = all;
    tellChosen(list);
    editor().toggleAttribute("data-typed", true);
  });
  document.addEventListener("keydown", (event) => {
    if (!isListed(event.target) || !goals[event.key]) return;
    event.preventDefault();
    const boxes = boxesOf(event.target.closest(".checklist"));
    const next = goals[event.key](boxes.indexOf(event.target));
    boxes[Math.max(0, Math.min(next, boxes.length - 1))].focus();
  });
  const dressLists = () => {
    for (const list of document.querySelectorAll(".window-fields .checklist")) {
      const box = list.querySelector("input:checked") ?? list.querySelector("input");
      if (!box || list.querySelector("[tabindex]")) continue;
      rove(list, box);
      tellChosen(list);
    }
    if (document.activeElement?.matches(".window-body, .window-body .checklist")) byId("owner-list").querySelector("[tabindex='0']")?.focus(); // not a box that scrolls
  };

  // The order of the list. The page keeps it in a field; the Service puts the list into it with the next button.
  const rows = () => [...document.querySelectorAll("#queries tbody tr")];
  const keyOf = (row) => row.querySelector("button").value.replace(/^up:/, "");
  const orderOf = (list) => list.map(keyOf).join(",");
  let first = { form: null };
  const rememberOrder = () => {
    const form = editor();
    if (form && first.form !== form) first = { form, order: orderOf(rows()), unsaved: form.hasAttribute("data-unsaved") };
  };
  const number = (list, from, to) => {
    for (let i = from; i <= to; i++) {
      const row = list[i];
      row.cells[0].textContent = i + 1;
      for (const b of row.querySelectorAll("button")) b.setAttribute("aria-label", b.ariaLabel.replace(/\d+/, i + 1));
      const [up, down] = row.cells[1].children;
      up.ariaDisabled = i === 0 ? "true" : null;
      down.ariaDisabled = i === list.length - 1 ? "true" : null;
    }
  };
  const noteOrder = (list) => {
    const order = orderOf(list);
    const unsaved = first.unsaved || order !== first.order;
    byId("order").value = order;
    byId("dirty").hidden = !unsaved;
    byId("clean").hidden = unsaved;
    editor().toggleAttribute("data-unsaved", unsaved);
  };
  const moveRow = (row, to) => {
    const list = rows();
    const from = list.indexOf(row);
    to = Math.max(0, Math.min(to, list.length - 1));
    if (from < 0 || from === to) return;
    const focused = document.activeElement;
    list[to][to < from ? "before" : "after"](row);
    list.splice(to, 0, ...list.splice(from, 1));
    number(list, Math.min(from, to), Math.max(from, to));
    noteOrder(list);
    if (row.contains(focused)) focused.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
    byId("announcer").textContent = `Query ${from + 1} is now at position ${to + 1}.`;
  };
  const isArrow = (b) => /^(up|down):/.test(b?.value ?? "");
  document.addEventListener("keydown", (event) => {
    const goal = goals[event.key];
    if (!goal || !isArrow(event.target)) return;
    event.preventDefault();
    const row = event.target.closest("tr");
    moveRow(row, goal(rows().indexOf(row)));
  });
  const moveByNumber = () => {
    const list = rows();
    const [from, to] = ["move-from", "move-to"].map((id) => Number(byId(id).value));
    if (!list[from - 1] || !list[to - 1]) return false; // the Service says what is wrong
    moveRow(list[from - 1], to - 1);
    return true;
  };
  document.addEventListener("click", (event) => {
    const pressed = event.target.closest?.("#editor button");
    if (isArrow(pressed)) {
      event.preventDefault();
      const row = pressed.closest("tr");
      moveRow(row, rows().indexOf(row) + (pressed.value.startsWith("up:") ? -1 : 1));
    } else if (pressed?.value === "move" && moveByNumber()) {
      event.preventDefault();
    }
  });

  // Dragging by the number. The list scrolls when the pointer comes near its edge.
  let drag = null;
  const unmark = () => document.querySelector(".drop-before, .drop-after")?.classList.remove("drop-before", "drop-after");
  const dragTo = ({ clientX, clientY }) => {
    const box = drag.row.closest(".scroll");
    const edges = box.getBoundingClientRect();
    if (clientY < edges.top + 60) box.scrollTop -= 20;
    if (clientY > edges.bottom - 40) box.scrollTop += 20;
    unmark();
    drag.over = document.elementFromPoint(clientX, clientY)?.closest("#queries tbody tr");
    if (!drag.over || drag.over === drag.row) return;
    const down = drag.row.compareDocumentPosition(drag.over) & Node.DOCUMENT_POSITION_FOLLOWING;
    drag.over.classList.add(down ? "drop-after" : "drop-before");
  };
  const drop = (event) => {
    if (!drag) return;
    unmark();
    drag.row.classList.remove("dragged");
    if (event.type === "pointerup" && drag.over && drag.over !== drag.row) moveRow(drag.row, rows().indexOf(drag.over));
    drag = null;
  };
  document.addEventListener("pointerdown", (event) => {
    const cell = event.target.closest("#queries tbody td:first-child");
    if (!cell || event.button !== 0) return;
    event.preventDefault();
    drag = { row: cell.parentElement };
    drag.row.classList.add("dragged");
  });
  document.addEventListener("pointermove", (event) => { if (drag) dragTo(event); });
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, drop);

  // A long list can be searched.
  const findQueries = () => {
    const wanted = byId("query-filter").value.trim().toLowerCase();
    let found = 0;
    const list = rows();
    for (const row of list) {
      row.hidden = ![...row.cells].slice(2, -1).some((cell) => cell.textContent.toLowerCase().includes(wanted));
      if (!row.hidden) found++;
    }
    byId("query-found").textContent = wanted === "" ? "" : `${found} of ${list.length}`;
  };
  document.addEventListener("input", (event) => { if (event.target.id === "query-filter") findQueries(); });

  const dress = () => {
    rememberOrder();
    dressLists();
    for (const hidden of document.querySelectorAll(".move-bar .find[hidden], #move-hint[hidden]")) hidden.hidden = false;
  };
  document.addEventListener("htmx:afterSettle", dress);
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", dress);
  else dress();
})();
