// Asks the platform's front from the operator's browser: makes the requests that the App lists, one at a time, and sends
// back what came of each. What the answers mean is for the App to say.
(() => {
  "use strict";

  const card = document.getElementById("front");
  const button = document.getElementById("ask-front");
  const state = document.getElementById("front-state");
  const root = new URL(card.dataset.root, location.href);

  // CRC-32 as zlib counts it; a page that did not come over HTTPS has no other checksum.
  const table = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });
  const checksum = (bytes) => {
    let crc = ~0;
    for (const byte of bytes) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
    return (~crc >>> 0).toString(16).padStart(8, "0");
  };

  const pattern = (length) => Uint8Array.from({ length }, (_, i) => i * 31 + (i >> 8));

  const hasCookie = () => document.cookie.split("; ").some((cookie) => cookie.startsWith("ms_sentinel_doctor="));

  // What the App says it saw; null for what somebody else answered.
  const readSeen = (bytes) => {
    try {
      const seen = JSON.parse(new TextDecoder().decode(bytes));
      return typeof seen.method === "string" && typeof seen.checksum === "string" ? seen : null;
    } catch {
      return null;
    }
  };

  const ask = async (request) => {
    const result = { name: request.name, status: 0, redirected: false, milliseconds: 0, length: 0, checksum: "", packed: false,
      cookie: false, seen: null, got: {} };
    const began = performance.now();
    try {
      const answer = await fetch(new URL(request.url.replace("{root}", encodeURIComponent(root.pathname)), root), {
        method: request.method, headers: request.header, body: request.bytes ? pattern(request.bytes) : request.text,
        cache: "no-store", credentials: request.anonymous ? "omit" : "same-origin", signal: AbortSignal.timeout(60000),
      });
      const bytes = new Uint8Array(await answer.arrayBuffer());
      Object.assign(result, { status: answer.status, redirected: answer.redirected, length: bytes.length, checksum: checksum(bytes),
        packed: answer.headers.has("Content-Encoding"), cookie: hasCookie(), seen: readSeen(bytes) });
      for (const name of Object.keys(result.seen?.given ?? {})) {
        if (answer.headers.has(name)) result.got[name] = answer.headers.get(name);
      }
    } catch {
      // No answer, or none that a page may read: the status 0 says so.
    }
    result.milliseconds = Math.round(performance.now() - began);
    return result;
  };

  const post = (body) => fetch(new URL("api/doctor/pages", root), { method: "POST", cache: "no-store", body: JSON.stringify(body),
    headers: { "Content-Type": "application/json", "X-Requested-With": "doctor" } });

  // message is the sentence of an answer of the App that failed.
  const message = async (answer) => (await answer.json().catch(() => ({}))).message ?? `The answer has the status ${answer.status}.`;

  const askAll = async () => {
    const waits = document.getElementById("waits").value;
    const list = await fetch(new URL(`api/doctor/pages?waits=${encodeURIComponent(waits)}`, root), { cache: "no-store" });
    if (!list.ok) throw new Error(await message(list));
    const requests = await list.json();
    const results = [];
    const ended = new Set(); // series of which one failed
    for (const [i, request] of requests.entries()) {
      if (ended.has(request.series)) continue;
      state.textContent = `Asking ${i + 1} of ${requests.length}: ${request.name}`;
      const result = await ask(request);
      if (request.series && result.status !== 200) ended.add(request.series);
      results.push(result);
    }
    document.cookie = `ms_sentinel_doctor=; Path=${root.pathname}; Max-Age=0; SameSite=Strict`;
    const body = { token: card.dataset.token, waits, results };
    const kept = await post(body);
    if (kept.status === 204 || kept.ok) return;
    const shown = document.getElementById("front-results");
    shown.textContent = JSON.stringify(results, null, 1);
    shown.hidden = false;
    throw new Error(`What was found could not be recorded, it stands below. ${await message(kept)}`);
  };

  button.hidden = false;
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled")) return;
    button.setAttribute("aria-disabled", "true");
    try {
      await askAll();
      location.assign("doctor?done=pages");
    } catch (error) {
      state.textContent = error instanceof TypeError ? "The Service gave no answer. Try again in a moment." : error.message;
      button.removeAttribute("aria-disabled");
    }
  });
})();
