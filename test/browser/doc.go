// Package browser drives the dashboard with a real Chromium, as a person would: log-in, live update, reconnect after a restart,
// dark mode, a phone's width, no mouse, and changes that are shown, made, confirmed and undone (actions.mjs). drive.mjs is the person; it uses playwright-core, which npm installs into .cache. The
// host is once a made-up one that has something to show in every section, and once bin/ntptsd itself. NTPTSD_BROWSER=1 says
// that this is wanted; it needs node, npm and chromium. Screenshots stay in .cache/browser.
package browser
