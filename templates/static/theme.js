// The theme that was chosen, before anything is drawn. Without a choice, and without a script, it is that of the system.
try { document.documentElement.dataset.theme = localStorage.getItem("ms-sentinel-theme") ?? ""; } catch { /* no storage */ }
