// What has to hold for every story, whatever its width and theme. Each check gives the faults as sentences.
globalThis.checks = (() => {
  "use strict";

  const describe = (element) => `<${element.localName}${element.id ? ` id="${element.id}"` : ""}${element.className && typeof element.className === "string" ? ` class="${element.className}"` : ""}> ${element.textContent.trim().slice(0, 40)}`;
  const isShown = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
  const frames = async (n) => { for (let i = 0; i < n; i++) await new Promise(requestAnimationFrame); };

  // Pixels that a colour of a style stands for, over what lies below it.
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const painted = new Map();
  const paint = (...colours) => {
    const key = colours.join();
    if (!painted.has(key)) painted.set(key, paintAnew(colours));
    return painted.get(key);
  };
  const paintAnew = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (pixel) => {
    const [r, g, b] = pixel.map((c) => { const s = c / 255; return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      layers.unshift(colour);
      if (paint(colour)[3] === 255) break;
    }
    return paint(...layers);
  };

  // The page does not scroll sideways, nor does a window on it.
  const sideways = () => {
    const faults = [];
    const root = document.documentElement;
    if (root.scrollWidth > innerWidth) {
      const wide = [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll"));
      faults.push(`the page is ${root.scrollWidth} px wide in a window of ${innerWidth}: ${wide.slice(-1).map(describe)}`);
    }
    for (const box of document.querySelectorAll(".scroll")) {
      if (box.scrollWidth > 2 * Math.max(innerWidth, 1000)) faults.push(`a table is ${box.scrollWidth} px wide: ${describe(box)}`);
    }
    for (const dialog of document.querySelectorAll("dialog:modal")) {
      if (dialog.scrollWidth > dialog.clientWidth) faults.push(`the window is ${dialog.scrollWidth} px wide inside, and ${dialog.clientWidth} are in sight`);
    }
    return faults;
  };

  // No text is smaller than the smallest size of the scale.
  const tiny = () => {
    const root = getComputedStyle(document.documentElement);
    const least = parseFloat(root.getPropertyValue("--small")) * parseFloat(root.fontSize);
    const faults = new Set();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const parent = texts.currentNode.parentElement;
      const size = parseFloat(getComputedStyle(parent).fontSize);
      if (size < least - 0.01 && texts.currentNode.data.trim() && isShown(parent)) faults.add(`${size} px: ${describe(parent)}`);
    }
    return [...faults];
  };

  // Whatever the keyboard comes to shows it, with a contrast of 3 or more to what is around it. Of what looks the same, two are looked at.
  const focus = () => {
    const root = document.querySelector("dialog:modal") ?? document;
    const known = new Map();
    const isNew = (e) => {
      const look = [e.localName, e.type, e.className, e.parentElement.localName, e.parentElement.className].join();
      known.set(look, (known.get(look) ?? 0) + 1);
      return known.get(look) <= 2;
    };
    const stops = [...root.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
      .filter((e) => !e.disabled && e.type !== "hidden" && isNew(e) && isShown(e));
    const before = document.activeElement;
    const faults = [];
    for (const stop of stops) {
      stop.focus({ preventScroll: true, focusVisible: true });
      if (document.activeElement !== stop) continue; // a radio or a summary that is not reached now
      const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(stop);
      if (outlineStyle === "none" || parseFloat(outlineWidth) < 2) faults.push(`nothing shows the focus on ${describe(stop)}`);
      else if (outlineStyle !== "auto" && contrast(paint(outlineColor), ground(parseFloat(getComputedStyle(stop).outlineOffset) < 0 ? stop : stop.parentElement)) < 3) faults.push(`the outline ${outlineColor} is hard to see around ${describe(stop)}`);
    }
    if (before instanceof HTMLElement && before !== document.body) before.focus({ preventScroll: true });
    else document.activeElement?.blur();
    return faults;
  };

  const rules = {
    runOnly: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"] },
    rules: { "target-size": { enabled: true } },
    resultTypes: ["violations", "incomplete"],
    preload: false,
  };
  // axe-core leaves a contrast open where something else is near: then the colours of the text and of what is below it decide.
  const isReadable = ({ target }) => {
    const element = document.querySelector(target.flat().at(-1));
    const { color, fill } = getComputedStyle(element);
    return contrast(paint(element instanceof SVGElement ? fill : color), ground(element)) >= 4.5;
  };
  const leaveUndecided = (result) => result.id === "color-contrast" ? { ...result, nodes: result.nodes.filter((node) => !isReadable(node)) } : result;
  const access = async () => {
    const { violations, incomplete } = await axe.run(document, rules);
    const list = (results) => results.flatMap(({ id, nodes }) => nodes.map(({ target, any, all, none, html }) => ({
      rule: id, target: target.flat().join(" "), html: html.slice(0, 200), message: [...any, ...all, ...none].map((c) => c.message).join("; "),
    })));
    return { violations: list(violations), incomplete: list(incomplete.map(leaveUndecided)) };
  };

  const wear = async (theme) => {
    document.documentElement.dataset.theme = theme;
    await frames(2);
  };
  // What can be measured of the page as it is now, as sentences.
  const measure = async (theme, withFocus) => {
    await wear(theme);
    return [...sideways(), ...tiny(), ...(withFocus ? focus() : [])];
  };
  // The lines of a long table are alike, and axe-core takes its time for each: the first ones stand for all.
  const shorten = () => document.querySelectorAll("tbody > tr:nth-child(n + 13)").forEach((row) => row.remove());
  // What axe-core finds in the page as it is now.
  const examine = async (theme) => {
    await wear(theme);
    return access();
  };

  // How many lines of the table are in sight as a whole.
  const lines = () => [...document.querySelectorAll("tbody tr")].filter((row) => row.getBoundingClientRect().bottom <= innerHeight).length;

  return { measure, shorten, examine, lines };
})();
